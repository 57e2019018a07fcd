"""contactexport.files.export_file: a file is complete under its name or absent."""

import hashlib
import os
import socket
from pathlib import Path
from typing import BinaryIO

import pytest

from contactexport.errors import FileDamaged
from contactexport.files import export_file

NAME = "changes_1_en-abcdef.csv"


def written(content: bytes, rows: int = 0):
    def write_content(to: BinaryIO) -> int:
        to.write(content)
        return rows

    return write_content


def allowed() -> None:
    """Raises nothing: this attempt still has its export."""


def test_write_returns_numbers_of_published_file(tmp_path: Path):
    content = b"a,b\n" * 500_000  # two buffers
    folder = tmp_path / "exports"
    folder.mkdir()
    reported: list[int] = []
    file = export_file.write(
        folder, NAME, 3, write_content=written(content, 7), before_publish=allowed, on_rows=reported.append
    )
    assert (folder / NAME).read_bytes() == content
    assert (file.rows, file.bytes, file.sha256) == (7, len(content), hashlib.sha256(content).hexdigest())
    assert reported[-1] == 500_000
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_file_is_published_only_after_before_publish(tmp_path: Path):
    listings: list[list[str]] = []

    def look() -> None:
        listings.append([path.name for path in tmp_path.iterdir()])

    export_file.write(tmp_path, NAME, 2, write_content=written(b"x\n"), before_publish=look)
    assert listings == [[f"{NAME}.2.part"]]


@pytest.mark.parametrize("where", ["content", "permission"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit()])
def test_any_exception_leaves_no_file(tmp_path: Path, where: str, error: BaseException):
    def fail(*_arguments: object) -> int:
        raise error

    steps = {"write_content": written(b"x" * 3_000_000), "before_publish": allowed}
    steps["write_content" if where == "content" else "before_publish"] = fail
    with pytest.raises(type(error)):
        export_file.write(tmp_path, NAME, 1, **steps)
    assert list(tmp_path.iterdir()) == []


def test_file_of_earlier_attempt_is_replaced(tmp_path: Path):
    (tmp_path / NAME).write_text("earlier")
    export_file.write(tmp_path, NAME, 2, write_content=written(b"later"), before_publish=allowed)
    assert (tmp_path / NAME).read_text() == "later"


def test_files_of_two_attempts_do_not_collide(tmp_path: Path):
    def second_attempt(to: BinaryIO) -> int:
        to.write(b"first")
        export_file.write(tmp_path, NAME, 2, write_content=written(b"second"), before_publish=allowed)
        raise OSError

    with pytest.raises(OSError, match=r"^$"):
        export_file.write(tmp_path, NAME, 1, write_content=second_attempt, before_publish=allowed)
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
    "socket": (listened_on, "12 bytes expected, a file that cannot be opened"),
    "gone": (lambda _path: None, "is missing from the storage folder"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_not_opened(tmp_path: Path, damage: str):
    make, message = DAMAGES[damage]
    make(tmp_path / NAME)
    with pytest.raises(FileDamaged, match=message):
        export_file.open_finished(tmp_path, NAME, 12)


def test_unreadable_file_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_arguments: object) -> int:  # root, who may run the tests, can read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileDamaged, match="Permission denied"):
        export_file.open_finished(tmp_path, NAME, 12)


def test_opened_file_is_unchanged_when_its_name_is_reused(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"twelve bytes")
    with export_file.open_finished(tmp_path, NAME, 12) as file:
        (tmp_path / "other").write_bytes(b"other bytes!")
        (tmp_path / "other").replace(tmp_path / NAME)
        assert file.read() == b"twelve bytes"


@pytest.mark.parametrize("damage", ["link", "link to nothing", "folder", "FIFO", "shorter"])
def test_file_is_written_although_something_else_has_its_name(tmp_path: Path, damage: str):
    DAMAGES[damage][0](tmp_path / NAME)
    file = export_file.write(tmp_path, NAME, 2, write_content=written(b"later"), before_publish=allowed)
    with export_file.open_finished(tmp_path, NAME, file.bytes) as content:
        assert content.read() == b"later"
