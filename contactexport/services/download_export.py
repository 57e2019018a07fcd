"""Finds the finished file of a local export, or the part a client asks for (contract, Status and download)."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from contactexport import export_file
from contactexport.backend import Backend
from contactexport.db import change_repository, export_repository
from contactexport.errors import DownloadRefused, FileDamaged
from contactexport.models import Caller, Export, ExportStatus
from contactexport.row_marks import RowMarks
from contactexport.services import check_storage

NOT_LOCAL = (404, 4004, '"distribution_method" of this export is not compatible.')
IN_PROGRESS = (404, 4005, "Export is currently in progress. Please wait until that has finished.")
NOT_AVAILABLE = (410, 4003, "Exported data is not available.")
FILE_NOT_FOUND = (404, 4006, "Internal error occurred. File was not found.")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slice:
    """The bytes [start, end) of a file."""

    start: int
    end: int


def whole(backend: Backend, export_id: int, caller: Caller) -> tuple[Export, BinaryIO]:
    """The export and its file, opened. Raises UnknownExport, DownloadRefused, StorageUnfit."""
    with backend.database.transaction() as conn:
        export = export_repository.get_visible(conn, export_id, caller)
    return export, _opened(backend, export)


def part(
    backend: Backend, export_id: int, caller: Caller, offset: int, limit: int
) -> tuple[BinaryIO, tuple[Slice, Slice]]:
    """The opened file, its header, and the rows of `limit` contacts from contact number `offset` on, counted from 0.

    The header is empty if the export has none. Takes about the same time wherever the rows begin.
    Raises UnknownExport, DownloadRefused.
    """
    with backend.database.transaction() as conn:
        export = export_repository.get_visible(conn, export_id, caller)
        marks = RowMarks(export_repository.row_marks(conn, export_id))
    file = _opened(backend, export)
    header_lines = int(export.settings.header)
    header_end, start, end = (
        marks.offset_of(file, line) for line in (header_lines, header_lines + offset, header_lines + offset + limit)
    )
    return file, (Slice(0, header_end), Slice(start, end))


def _opened(backend: Backend, export: Export) -> BinaryIO:
    if export.settings.ftp is not None:
        raise DownloadRefused(*NOT_LOCAL)
    if not export.status.finished:
        raise DownloadRefused(*IN_PROGRESS)
    if export.status is not ExportStatus.DONE or export.file_deleted_at is not None:
        raise DownloadRefused(*NOT_AVAILABLE)
    try:
        return export_file.open_finished(backend.settings.storage_dir, export.file_name, export.bytes)
    except FileDamaged as damage:
        check_storage.require_storage(backend)  # 503, so that the client asks again
        if _deleted_meanwhile(backend, export):
            raise DownloadRefused(*NOT_AVAILABLE) from None
        logger.error("file not served: id=%d file=%s reason=%s", export.id, export.file_name, damage.text)  # noqa: TRY400
        raise DownloadRefused(*FILE_NOT_FOUND) from None


def _deleted_meanwhile(backend: Backend, export: Export) -> bool:
    """True when it was deleted after the row was read; the retention deletes files before it says so in the row."""
    with backend.database.transaction() as conn:
        now, found = change_repository.clock(conn), export_repository.get(conn, export.id)
    over = found.finished_at is not None and now - found.finished_at > timedelta(seconds=backend.settings.retention)
    return over or found.file_deleted_at is not None
