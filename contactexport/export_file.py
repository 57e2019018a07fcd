"""The file of an export in the storage folder: written under a temporary name, complete under its own or absent."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contactexport import crash_points
from contactexport.errors import ExportLost
from contactexport.part_file import PartFile
from contactexport.row_marks import RowMarks

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@dataclass(frozen=True)
class WrittenFile:
    """A complete file: its data rows without the header, its bytes, their hexadecimal SHA-256, where rows begin."""

    rows: int
    bytes: int
    sha256: str
    marks: RowMarks


def part_path(folder: Path, file_name: str, attempt: int) -> Path:
    """Where an attempt writes before its file is complete."""
    return folder / f"{file_name}.{attempt}.part"


def write(
    folder: Path,
    file_name: str,
    attempt: int,
    *,
    write_content: Callable[[PartFile], int],
    may_appear: Callable[[], None],
    on_rows: Callable[[int], None] | None = None,
) -> WrittenFile:
    """Writes the content, flushes it to disk and gives the file its name; memory stays flat.

    `write_content` streams everything and returns the number of rows; `may_appear` is called just before the file
    appears and raises when this attempt has lost its export; `on_rows` is told the rows written so far, the header
    among them. Whatever is raised, the temporary file is removed. Raises ExportLost when another attempt was faster,
    OSError when the disk is full or the folder not writable.
    """
    part = part_path(folder, file_name, attempt)
    try:
        written = _write_part(part, write_content, partial(_told, attempt, on_rows))
        crash_points.reach("file written", attempt)
        _remove_leftover(folder, file_name, attempt, may_appear)
        may_appear()
        crash_points.reach("file may appear", attempt)
        _appear(part, folder / file_name)
        crash_points.reach("file named", attempt)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    return written


def _told(attempt: int, on_rows: Callable[[int], None] | None, rows: int) -> None:
    crash_points.reach("rows half written", attempt)
    if on_rows is not None:
        on_rows(rows)


def _write_part(part: Path, write_content: Callable[[PartFile], int], on_rows: Callable[[int], None]) -> WrittenFile:
    with PartFile(part, on_rows) as file:
        rows = write_content(file)
        file.sync()
        return WrittenFile(rows, file.written.bytes, file.written.digest.hexdigest(), file.written.marks)


def _remove_leftover(folder: Path, file_name: str, attempt: int, may_appear: Callable[[], None]) -> None:
    """Of an attempt that died before it said so.

    It is moved aside and not deleted: if another attempt has taken over since this one was asked, the file is its.
    """
    final, aside = folder / file_name, part_path(folder, file_name, 0)
    if not final.exists():
        return
    may_appear()
    crash_points.reach("leftover found", attempt)
    try:
        final.rename(aside)
    except FileNotFoundError:
        return  # a cancel was faster
    try:
        may_appear()
    except BaseException:
        _appear(aside, final)
        raise
    aside.unlink(missing_ok=True)


def _appear(part: Path, final: Path) -> None:
    """Unlike a rename, a link never replaces the file of a newer attempt, however late this one wakes up."""
    try:
        os.link(part, final)
    except FileExistsError:
        raise ExportLost("another attempt has written the file") from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        part.rename(final)
    part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
