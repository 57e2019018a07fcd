"""The file of an export in the storage folder: written under a temporary name, complete under its own or absent."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from contactexport import crash_points
from contactexport.errors import ExportLost, FileDamaged
from contactexport.part_file import PartFile
from contactexport.row_marks import RowMarks

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
# A link may lead to any file of the machine, and opening a FIFO would wait for somebody who writes to it.
STORED_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What may lie there instead of a file.
OTHER_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"))


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


def open_finished(folder: Path, file_name: str, size: int | None) -> BinaryIO:
    """The finished file, opened for reading; `size` in bytes is that of the export's row.

    Nobody else opens a stored file: what was cut, replaced or never was one must not pass for the export's data.
    Raises FileDamaged.
    """
    try:
        descriptor = os.open(folder / file_name, STORED_FILE)
    except FileNotFoundError:
        raise FileDamaged("The finished file is not in the storage folder any more") from None
    except OSError as error:
        found = "a link" if error.errno == errno.ELOOP else f"one that cannot be opened ({error.strerror})"
        raise _damaged(size, found) from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size == size:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise _damaged(size, _kind(status))


def _damaged(size: int | None, found: str) -> FileDamaged:
    return FileDamaged(f"The finished file in the storage folder is damaged: {size} bytes expected, {found} found")


def _kind(found: os.stat_result) -> str:
    if stat.S_ISREG(found.st_mode):
        return f"{found.st_size} bytes"
    return next((name for is_kind, name in OTHER_KINDS if is_kind(found.st_mode)), "something else")


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
    if not os.path.lexists(final):
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
    with suppress(OSError):  # a folder in place of the file; the sweep says that it cannot be deleted
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
