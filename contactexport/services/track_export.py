"""Tells how an export is doing: the status as the API and the command line show it."""

from datetime import datetime, tzinfo
from typing import Any

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import Caller, Export, ExportStatus


def status(backend: Backend, export_id: int, caller: Caller) -> dict[str, Any]:
    """The status payload (contract, Status). Raises UnknownExport, DatabaseUnavailable."""
    return payload(backend, visible(backend, export_id, caller))


def visible(backend: Backend, export_id: int, caller: Caller) -> Export:
    """The export as it is, if the caller may see it. Raises UnknownExport, DatabaseUnavailable."""
    with backend.database.autocommit() as conn:
        return export_repository.get_visible(conn, export_id, caller)


def newest(
    backend: Backend, caller: Caller, *, status: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Status payloads of the newest exports that the caller may see, newest first."""
    with backend.database.transaction() as conn:
        exports = list(export_repository.list_newest(conn, caller, status=status, before=before, limit=limit))
    return [payload(backend, export) for export in exports]


def payload(backend: Backend, export: Export) -> dict[str, Any]:
    """What the original shows, and ours beyond it; times are in the service's time zone."""
    zone = backend.settings.time_zone
    target = export.settings.ftp
    done = export.status is ExportStatus.DONE
    return {
        "id": str(export.id),
        "created": f"{export.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        "status": str(export.status),
        "type": export.settings.type,
        "distribution_method": export.settings.distribution_method,
        "origin": export.settings.origin,
        "origin_id": list(export.settings.origin_ids),
        "contact_fields": list(export.settings.contact_fields),
        "created_by": export.created_by,
        "file_name": export.file_name if done else None,
        "ftp_host": target.host if target else None,
        "ftp_dir": target.folder if target else None,
        "rows": export.rows,
        "rows_expected": export.rows_expected,
        "rows_expected_exact": export.ready_at is not None,
        "bytes": export.bytes,
        "sha256": export.sha256,
        "time_range": [_iso(export.settings.start, zone), _iso(export.settings.end, zone)],
        "complete_from": _iso(export.complete_from, zone),
        "effective_until": _iso(export.effective_until, zone),
        "next_from": _iso(export.effective_until, zone),
        "attempts": export.attempt,
        "delivery": [{**one, "at": _iso(datetime.fromisoformat(one["at"]), zone)} for one in export.deliveries],
        "error": export.error,
        "next_attempt": _iso(export.due_at, zone) if export.error else None,
    }


def _iso(moment: datetime | None, zone: tzinfo) -> str | None:
    return None if moment is None else moment.astimezone(zone).isoformat()
