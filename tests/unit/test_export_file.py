"""contactexport.export_file: complete under its name or absent."""

import hashlib
import os
import socket
from pathlib import Path
from typing import BinaryIO

import pytest

from contactexport import export_file
from contactexport.errors import FileDamaged

NAME = "changes_1_en-abcdef.csv"


def written(content: bytes, rows: int = 0):
    def write_content(to: BinaryIO) -> int:
        to.write(content)
        return rows

    return write_content


def allowed() -> None:
    """This attempt still has its export."""


def test_a_written_file_is_there_with_its_numbers(tmp_path: Path):
    content = b"a,b\n" * 500_000  # two buffers
    folder = tmp_path / "exports"
    folder.mkdir()
    told: list[int] = []
    file = export_file.write(
        folder, NAME, 3, write_content=written(content, 7), may_appear=allowed, on_rows=told.append
    )
    assert (folder / NAME).read_bytes() == content
    assert (file.rows, file.bytes, file.sha256) == (7, len(content), hashlib.sha256(content).hexdigest())
    assert told[-1] == 500_000
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_the_name_appears_only_when_everything_is_written_and_allowed(tmp_path: Path):
    seen: list[list[str]] = []

    def look() -> None:
        seen.append([path.name for path in tmp_path.iterdir()])

    export_file.write(tmp_path, NAME, 2, write_content=written(b"x\n"), may_appear=look)
    assert seen == [[f"{NAME}.2.part"]]
    assert export_file.part_path(tmp_path, NAME, 2).name == seen[0][0]


@pytest.mark.parametrize("where", ["content", "permission"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit()])
def test_whatever_is_raised_nothing_is_left(tmp_path: Path, where: str, error: BaseException):
    def fail(*_arguments: object) -> int:
        raise error

    steps = {"write_content": written(b"x" * 3_000_000), "may_appear": allowed}
    steps["write_content" if where == "content" else "may_appear"] = fail
    with pytest.raises(type(error)):
        export_file.write(tmp_path, NAME, 1, **steps)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_an_earlier_attempt_is_replaced(tmp_path: Path):
    (tmp_path / NAME).write_text("earlier")
    export_file.write(tmp_path, NAME, 2, write_content=written(b"later"), may_appear=allowed)
    assert (tmp_path / NAME).read_text() == "later"


def test_the_files_of_two_attempts_do_not_meet(tmp_path: Path):
    def second_attempt(to: BinaryIO) -> int:
        to.write(b"first")
        export_file.write(tmp_path, NAME, 2, write_content=written(b"second"), may_appear=allowed)
        raise OSError

    with pytest.raises(OSError, match=r"^$"):
        export_file.write(tmp_path, NAME, 1, write_content=second_attempt, may_appear=allowed)
    assert (tmp_path / NAME).read_text() == "second"


def linked(path: Path) -> None:
    whole = path.with_name("elsewhere")
    whole.write_bytes(b"twelve bytes")
    path.symlink_to(whole)


def listened_on(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


DAMAGES = {
    "shorter": (lambda path: path.write_bytes(b"twelve byte"), "12 bytes expected, 11 bytes found"),
    "longer": (lambda path: path.write_bytes(b"twelve bytes."), "12 bytes expected, 13 bytes found"),
    "empty": (Path.touch, "12 bytes expected, 0 bytes found"),
    "link": (linked, "12 bytes expected, a link found"),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), "12 bytes expected, a link found"),
    "folder": (Path.mkdir, "12 bytes expected, a folder found"),
    "FIFO": (os.mkfifo, "12 bytes expected, a FIFO found"),
    "socket": (listened_on, "12 bytes expected, one that cannot be opened"),
    "gone": (lambda _path: None, "is not in the storage folder any more"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_stored_file_that_is_not_what_was_written_is_not_opened(tmp_path: Path, damage: str):
    make, told = DAMAGES[damage]
    make(tmp_path / NAME)
    with pytest.raises(FileDamaged, match=told):
        export_file.open_finished(tmp_path, NAME, 12)


def test_a_stored_file_that_may_not_be_read_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_arguments: object) -> int:  # the tests may run as root, who may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileDamaged, match="Permission denied"):
        export_file.open_finished(tmp_path, NAME, 12)


def test_an_opened_file_stays_what_it_was_when_its_name_is_taken(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"twelve bytes")
    with export_file.open_finished(tmp_path, NAME, 12) as file:
        (tmp_path / "other").write_bytes(b"other bytes!")
        (tmp_path / "other").replace(tmp_path / NAME)
        assert file.read() == b"twelve bytes"


@pytest.mark.parametrize("damage", ["link", "link to nothing", "folder", "FIFO", "shorter"])
def test_what_lies_in_place_of_the_file_does_not_keep_it_from_being_written(tmp_path: Path, damage: str):
    DAMAGES[damage][0](tmp_path / NAME)
    file = export_file.write(tmp_path, NAME, 2, write_content=written(b"later"), may_appear=allowed)
    with export_file.open_finished(tmp_path, NAME, file.bytes) as content:
        assert content.read() == b"later"
