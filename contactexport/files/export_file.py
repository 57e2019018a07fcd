"""The file of an export in the storage folder. Under its own name it is complete or absent."""

import errno
import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contactexport import crash_points
from contactexport.errors import ExportLost, FileDamaged
from contactexport.files.writer import PartFile, RowIndex, RowsFile

LINKS_UNSUPPORTED = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
# A link may point to any file of the machine, and opening a FIFO would wait for a writer.
OPEN_STORED = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What may be there instead of a file.
OTHER_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrittenFile:
    """A complete file: its data rows without the header, its bytes, their hexadecimal SHA-256, and its row index.

    `stored_as` is its name in the storage. None: the name that was asked for.
    """

    rows: int
    bytes: int
    sha256: str
    marks: RowIndex
    stored_as: str | None = None


def open_finished(folder: Path, file_name: str, size: int | None) -> BinaryIO:
    """The finished file, opened for reading. `size` is its number of bytes in the export's row.

    Every reader of a stored file opens it here, so that a damaged or replaced file is never served as the export.
    Raises FileDamaged.
    """
    try:
        descriptor = os.open(folder / file_name, OPEN_STORED)
    except FileNotFoundError:
        raise FileDamaged("The finished file is missing from the storage folder") from None
    except OSError as error:
        found = "a link" if error.errno == errno.ELOOP else f"a file that cannot be opened ({error.strerror})"
        raise _damaged(size, found) from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size == size:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise _damaged(size, f"{status.st_size} bytes")
    raise _damaged(size, next((kind for is_kind, kind in OTHER_KINDS if is_kind(status.st_mode)), "something else"))


def _damaged(size: int | None, found: str) -> FileDamaged:
    return FileDamaged(f"The finished file in the storage folder is damaged: {size} bytes expected, {found} found")


def delete(path: Path) -> bool:
    """Deletes a stored file. True when it is gone. A file that cannot be deleted must not stop the others."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("file not deleted: %s: %s", path.name, error.strerror)
        return False
    return True


def write(
    folder: Path,
    file_name: str,
    attempt: int,
    *,
    write_content: Callable[[RowsFile], int],
    before_publish: Callable[[], None],
    on_rows: Callable[[int], None] | None = None,
) -> WrittenFile:
    """Writes the content, flushes it to disk and gives the file its name. Memory stays flat.

    `write_content` streams everything and returns the number of rows. `before_publish` is called just before the file
    gets its name, and raises if this attempt has lost its export. `on_rows` is called with the rows written so far,
    with the header line. On any exception the temporary file is removed. Raises ExportLost if another attempt was
    faster, OSError if the disk is full or the folder not writable.
    """
    part = folder / f"{file_name}.{attempt}.part"

    try:
        with PartFile(part, attempt, on_rows) as file:
            rows = write_content(file)
            file.flush()
            os.fsync(file.fileno())
        crash_points.reach("file written", attempt)
        if os.path.lexists(folder / file_name):
            _remove_leftover(folder, file_name, attempt, before_publish)
        before_publish()
        crash_points.reach("file may appear", attempt)
        _publish(part, folder / file_name)
        crash_points.reach("file named", attempt)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder_descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(folder_descriptor)
    finally:
        os.close(folder_descriptor)
    content = file.flushed
    return WrittenFile(rows, content.bytes, content.digest.hexdigest(), content.row_index)


def _remove_leftover(folder: Path, file_name: str, attempt: int, before_publish: Callable[[], None]) -> None:
    """Removes the file of an attempt that died before it recorded it.

    First the file is moved aside, not deleted. If `before_publish` then finds that another attempt has taken over, the
    file belongs to that attempt and gets its name back.
    """
    final, aside = folder / file_name, folder / f"{file_name}.0.part"
    before_publish()
    crash_points.reach("leftover found", attempt)
    try:
        final.rename(aside)
    except FileNotFoundError:
        return  # a cancel was faster
    try:
        before_publish()
    except BaseException:
        _publish(aside, final)
        raise
    with suppress(OSError):  # a folder in place of the file: the sweep logs that it cannot be deleted
        aside.unlink(missing_ok=True)


def _publish(part: Path, final: Path) -> None:
    """Gives the file its name. Unlike a rename, a link never replaces the file of a newer attempt."""
    try:
        os.link(part, final)
    except FileExistsError:
        raise ExportLost("another attempt has written the file") from None
    except OSError as error:
        if error.errno not in LINKS_UNSUPPORTED:
            raise
        part.rename(final)
    part.unlink(missing_ok=True)
