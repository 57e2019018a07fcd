"""Finds the finished file of a local export, or the part a client asks for (contract, Status and download)."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.errors import DownloadRefused, FileDamaged
from contactexport.exports import store
from contactexport.exports.models import Export, ExportStatus
from contactexport.files import export_file, storage_check
from contactexport.files.writer import RowIndex
from contactexport.manifests import store as manifests
from contactexport.users.models import Caller

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


def whole(context: Context, export_id: int, caller: Caller) -> tuple[Export, BinaryIO]:
    """The export and its file, opened. Raises UnknownExport, DownloadRefused, StorageUnfit."""
    with context.database.transaction() as conn:
        export = store.get_visible(conn, export_id, caller)
    return export, _opened(context, export)


def manifest(context: Context, export_id: int, caller: Caller) -> str:
    """The manifest of an export that is done, also if its file was deleted. Raises UnknownExport, DownloadRefused."""
    with context.database.transaction() as conn:
        export = store.get_visible(conn, export_id, caller)
        if not export.status.finished:
            raise DownloadRefused(*IN_PROGRESS)
        done = export.status is ExportStatus.DONE
        found = manifests.signed_on_request(context, conn, export, change_log.clock(conn)) if done else None
    if found is None:
        raise DownloadRefused(*NOT_AVAILABLE)
    return found


def part(
    context: Context, export_id: int, caller: Caller, offset: int, limit: int
) -> tuple[BinaryIO, tuple[Slice, Slice]]:
    """The opened file, its header, and the rows of `limit` contacts from contact number `offset` on, counted from 0.

    The header is empty if the export has none. Takes about the same time wherever the rows begin.
    Raises UnknownExport, DownloadRefused.
    """
    with context.database.transaction() as conn:
        export = store.get_visible(conn, export_id, caller)
        marks = RowIndex(store.row_marks(conn, export_id))
    file = _opened(context, export)
    header_lines = int(export.settings.header)
    header_end, start, end = (
        marks.offset_of(file, line) for line in (header_lines, header_lines + offset, header_lines + offset + limit)
    )
    return file, (Slice(0, header_end), Slice(start, end))


def _opened(context: Context, export: Export) -> BinaryIO:
    if export.settings.remote is not None:
        raise DownloadRefused(*NOT_LOCAL)
    if not export.status.finished:
        raise DownloadRefused(*IN_PROGRESS)
    if export.status is not ExportStatus.DONE or export.file_deleted_at is not None:
        raise DownloadRefused(*NOT_AVAILABLE)
    try:
        return export_file.open_finished(context.settings.storage_dir, export.file_name, export.bytes)
    except FileDamaged as damage:
        storage_check.require_storage(context)  # 503, so that the client asks again
        if _deleted_meanwhile(context, export):
            raise DownloadRefused(*NOT_AVAILABLE) from None
        logger.error("file not served: id=%d file=%s reason=%s", export.id, export.file_name, damage.text)  # noqa: TRY400
        raise DownloadRefused(*FILE_NOT_FOUND) from None


def _deleted_meanwhile(context: Context, export: Export) -> bool:
    """True if it was deleted after the row was read. The retention deletes files before it says so in the row."""
    with context.database.transaction() as conn:
        now, found = change_log.clock(conn), store.get(conn, export.id)
    over = found.finished_at is not None and now - found.finished_at > timedelta(seconds=context.settings.retention)
    return over or found.file_deleted_at is not None
