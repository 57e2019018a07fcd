"""Finds the finished file of a local export, or the part a client asks for (contract, Status and download)."""

from dataclasses import dataclass
from pathlib import Path

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import DownloadRefused
from contactexport.models import Caller, Export, ExportStatus
from contactexport.row_marks import RowMarks
from contactexport.services import check_storage

NOT_LOCAL = (404, 4004, '"distribution_method" of this export is not compatible.')
IN_PROGRESS = (404, 4005, "Export is currently in progress. Please wait until that has finished.")
NOT_AVAILABLE = (410, 4003, "Exported data is not available.")
FILE_NOT_FOUND = (404, 4006, "Internal error occurred. File was not found.")


@dataclass(frozen=True)
class Slice:
    """The bytes [start, end) of a file."""

    start: int
    end: int


def whole(backend: Backend, export_id: int, caller: Caller) -> tuple[Export, Path]:
    """The export and its file. Raises UnknownExport, DownloadRefused, StorageUnfit."""
    with backend.database.transaction() as conn:
        export = export_repository.get_visible(conn, export_id, caller)
    return export, _file(backend, export)


def part(backend: Backend, export_id: int, caller: Caller, offset: int, limit: int) -> tuple[Path, tuple[Slice, Slice]]:
    """The file, its header, and the rows of `limit` contacts from contact number `offset` on, counted from 0.

    The header is empty if the export has none. Takes about the same time wherever the rows begin.
    Raises UnknownExport, DownloadRefused.
    """
    with backend.database.transaction() as conn:
        export = export_repository.get_visible(conn, export_id, caller)
        file = _file(backend, export)
        marks = RowMarks(export_repository.row_marks(conn, export_id))
    header_lines = int(export.settings.header)
    header_end, start, end = (
        marks.offset_of(file, line) for line in (header_lines, header_lines + offset, header_lines + offset + limit)
    )
    return file, (Slice(0, header_end), Slice(start, end))


def _file(backend: Backend, export: Export) -> Path:
    if export.settings.ftp is not None:
        raise DownloadRefused(*NOT_LOCAL)
    if not export.status.finished:
        raise DownloadRefused(*IN_PROGRESS)
    if export.status is not ExportStatus.DONE or export.file_deleted_at is not None:
        raise DownloadRefused(*NOT_AVAILABLE)
    file = backend.settings.storage_dir / export.file_name
    if not file.is_file():
        check_storage.require_storage(backend)  # 503, so that the client asks again
        raise DownloadRefused(*FILE_NOT_FOUND)
    return file
