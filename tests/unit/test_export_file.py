"""contactexport.export_file: complete under its name or absent."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import pytest

from contactexport import export_file

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
