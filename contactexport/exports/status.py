"""The status of an export, as the API and the command line show it."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from contactexport.context import Context
from contactexport.delivery.encoding import shown_form
from contactexport.exports import store
from contactexport.exports.models import Export, ExportStatus
from contactexport.moments import in_zone
from contactexport.users.models import Caller


def status(context: Context, export_id: int, caller: Caller) -> dict[str, Any]:
    """The status payload (contract, Status). Raises UnknownExport, DatabaseUnavailable."""
    with context.database.autocommit() as conn:
        export = store.get_visible(conn, export_id, caller)
    return payload(context, export)


def newest(
    context: Context, caller: Caller, *, status: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Status payloads of the newest exports that the caller may see, newest first."""
    with context.database.transaction() as conn:
        exports = list(store.list_newest(conn, caller, status=status, before=before, limit=limit))
    return [payload(context, export) for export in exports]


def payload(context: Context, export: Export) -> dict[str, Any]:
    """The fields of the original API and our own ones (contract, Status). Times are in the service's time zone.

    `warnings` is there only if there are any, `feed` and `sequence` only for runs of a feed, and `delivered` only if
    the host got another form of the file.
    """
    zone = context.settings.time_zone
    target = export.settings.remote
    done = export.status is ExportStatus.DONE
    times = (export.complete_from, export.effective_until, export.due_at)
    complete_from, until, due_at = (moment and in_zone(moment, zone).isoformat() for moment in times)
    deliveries = [
        {**one, "at": in_zone(datetime.fromisoformat(one["at"]), zone).isoformat()} for one in export.deliveries
    ]
    feed = {} if export.feed_id is None else {"feed": export.feed_name, "sequence": export.feed_sequence}
    delivered = {} if export.delivered is None else {"delivered": asdict(export.delivered)}
    warnings = {"warnings": list(export.warnings)} if export.warnings else {}
    shown = {
        "id": str(export.id),
        "created": f"{in_zone(export.created_at, zone):%Y-%m-%d %H:%M:%S}",
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
        "time_range": [in_zone(moment, zone).isoformat() for moment in (export.settings.start, export.settings.end)],
        "complete_from": complete_from,
        "effective_until": until,
        "next_from": until,
        "attempts": export.attempt,
        "delivery": deliveries,
        "error": export.error,
        "next_attempt": due_at if export.error else None,
    }
    return shown | shown_form(export.settings) | delivered | feed | warnings
