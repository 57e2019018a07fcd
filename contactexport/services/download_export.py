"""Finds the finished file of a local export, or the part a client asks for (contract, Status and download)."""

from dataclasses import dataclass
from pathlib import Path

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import DownloadRefused
from contactexport.models import Export, ExportStatus
from contactexport.row_marks import RowMarks

NOT_LOCAL = (404, 4004, '"distribution_method" of this export is not compatible.')
IN_PROGRESS = (404, 4005, "Export is currently in progress. Please wait until that has finished.")
NOT_AVAILABLE = (410, 4003, "Exported data is not available.")
FILE_NOT_FOUND = (404, 4006, "Internal error occurred. File was not found.")


@dataclass(frozen=True)
class Slice:
    """The bytes [start, end) of a file."""

    file: Path
    start: int
    end: int


def whole(backend: Backend, export_id: int) -> tuple[Export, Path]:
    """The export and its file. Raises UnknownExport, DownloadRefused."""
    with backend.database.transaction() as conn:
        export = export_repository.get(conn, export_id)
    return export, _file(backend, export)


def part(backend: Backend, export_id: int, offset: int, limit: int) -> tuple[Export, Slice]:
    """The rows of `limit` contacts from contact number `offset` on, counted from 0; the header comes with number 0.

    Takes about the same time wherever the slice begins. Raises UnknownExport, DownloadRefused.
    """
    with backend.database.transaction() as conn:
        export = export_repository.get(conn, export_id)
        file = _file(backend, export)
        marks = RowMarks(export_repository.row_marks(conn, export_id))
    header = int(export.settings.header)
    first = 0 if offset == 0 else header + offset
    start = marks.offset_of(file, first)
    end = marks.offset_of(file, header + offset + limit)
    return export, Slice(file, start, end)


def _file(backend: Backend, export: Export) -> Path:
    if export.settings.ftp is not None:
        raise DownloadRefused(*NOT_LOCAL)
    if not export.status.finished:
        raise DownloadRefused(*IN_PROGRESS)
    if export.status is not ExportStatus.DONE or export.file_deleted_at is not None:
        raise DownloadRefused(*NOT_AVAILABLE)
    file = backend.settings.storage_dir / export.file_name
    if not file.is_file():
        raise DownloadRefused(*FILE_NOT_FOUND)
    return file
