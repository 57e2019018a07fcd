"""Reads and writes the table `export`. Each write of a worker carries its attempt number, the fence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from psycopg2.errors import LockNotAvailable, UniqueViolation
from psycopg2.extras import Json

from contactexport import log_context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.delivery.ftp_wire import one_line
from contactexport.errors import DatabaseUnavailable, ExportAlreadyRunning, ExportLost, UnknownExport
from contactexport.exports.models import DeliveredFile, Export, ExportSettings, ExportStatus, setting_key
from contactexport.manifests.manifest import FileContent
from contactexport.users.models import Caller

LARGEST_ID = 2**63 - 1
PATIENCE_SECONDS = 600  # an export that waited longer goes before smaller ones of the same user
HISTORY_DAYS = 90
LONGEST_TOLD = 2000  # characters of an error or reply
EXPORT_COLUMNS = tuple(column.name for column in fields(Export))


def accept(
    conn: Connection,
    settings: ExportSettings,
    *,
    ftp_secret: bytes | None,
    suffix: str,
    created_by: str,
    team: str,
    wait_seconds: float,
    waited_seconds: float | None,
    most_unfinished: int | None,
    notify_secret: bytes | None = None,
) -> int | None:
    """Adds a scheduled export and returns its id. None: the user has `most_unfinished` exports already.

    Waits at most `wait_seconds` for other requests of the same setting or user. An export of the same setting that
    ended in the last `waited_seconds` counts as unfinished. A `notify_secret` needs a transaction, because it is a
    second statement. Raises ExportAlreadyRunning, and DatabaseUnavailable when the wait is over.
    """
    stored = settings.to_json()
    try:
        answer = queries("export").accept_export(
            conn,
            settings=Json(stored),
            setting_key=setting_key(stored, team),
            ftp_secret=ftp_secret,
            suffix=suffix,
            created_by=created_by,
            team=team,
            lock_wait=f"{int(wait_seconds * 1000)}ms",
            waited=waited_seconds,
            most_unfinished=most_unfinished,
            request_id=log_context.request_id(),
        )
    except UniqueViolation:
        raise ExportAlreadyRunning from None
    except LockNotAvailable:
        raise DatabaseUnavailable("The user's requests wait for each other") from None
    if answer["outcome"] == "already running":
        raise ExportAlreadyRunning
    if answer["id"] is not None and notify_secret is not None:
        queries("secret").set_notify_secret(conn, id=answer["id"], secret=notify_secret)
    return None if answer["id"] is None else int(answer["id"])


def running(conn: Connection, setting_key: int, team: str) -> int | None:
    """The id of the running export of this setting. None: there is none, or it is another team's."""
    found = queries("export").running_export(conn, setting_key=setting_key, team=team)
    return None if found is None else int(found)


def get(conn: Connection, export_id: int) -> Export:
    """The export. Raises UnknownExport."""
    row = None
    if 0 < export_id <= LARGEST_ID:
        row = queries("export").get_export(conn, id=export_id)
    if row is None:
        raise UnknownExport
    return _export(row)


def get_visible(conn: Connection, export_id: int, caller: Caller) -> Export:
    """The export, if the caller may see it. Raises UnknownExport."""
    export = get(conn, export_id)
    if not (caller.sees_all or export.team == caller.team):  # contract, Request
        raise UnknownExport
    return export


def list_newest(
    conn: Connection, caller: Caller, *, status: str | None, before: int | None, limit: int
) -> Iterator[Export]:
    """At most `limit` exports that the caller may see, with ids below `before`, newest first."""
    team = None if caller.sees_all else caller.team
    for row in queries("export").list_exports(conn, team=team, status=status, before=before, limit=limit):
        yield _export(row)


def claim(conn: Connection, export_id: int, setting_key: int, *, deliveries: bool | None = None) -> Export | None:
    """Starts the next attempt. None: the export is finished, not due yet, or has another key by now.

    `deliveries`: only if its next step is the delivery to another computer (True), or only if it is not (False). The
    caller must hold the advisory lock of the key.
    """
    row = queries("export").claim_export(conn, id=export_id, setting_key=setting_key, deliveries=deliveries)
    return _export(row) if row else None


def note_expected_rows(conn: Connection, export: Export, rows_expected: int) -> None:
    """Stores an estimate of the rows. Raises ExportLost when the attempt is no longer the current one."""
    if not queries("export").note_expected_rows(
        conn, id=export.id, attempt=export.attempt, rows_expected=rows_expected
    ):
        raise ExportLost(f"export {export.id} is no longer attempt {export.attempt}'s")


def note_written_rows(conn: Connection, export: Export, rows_written: int) -> None:
    """Stores how many rows are written so far. Does nothing when the attempt is no longer the current one."""
    queries("export").note_written_rows(conn, id=export.id, attempt=export.attempt, rows_written=rows_written)


def require_attempt(conn: Connection, export: Export) -> None:
    """Raises ExportLost unless the export is unfinished and still this attempt's."""
    if queries("export").has_attempt(conn, id=export.id, attempt=export.attempt) is None:
        raise ExportLost(f"export {export.id} is no longer attempt {export.attempt}'s")


def mark_ready(
    conn: Connection,
    export: Export,
    content: FileContent,
    *,
    delivery_attempts: int,
    manifest: str | None = None,
    warnings: Sequence[str] = (),
) -> Export:
    """Stores what is known of the complete file. `delivery_attempts` is 1 if this attempt also delivers the file.

    Raises ExportLost.
    """
    return _moved(
        conn,
        "mark_ready",
        export,
        rows=content.written.rows,
        bytes=content.written.bytes,
        sha256=content.written.sha256,
        marks=content.written.marks.to_bytes(),
        stored_as=content.written.stored_as,
        effective_until=content.window[1],
        complete_from=content.complete_from,
        columns=Json(content.columns),
        removed=content.removed,
        manifest=manifest,
        warnings=Json(list(warnings)) if warnings else None,
        delivery_attempts=delivery_attempts,
    )


def row_marks(conn: Connection, export_id: int) -> bytes:
    """The index of the rows in the export's file. Empty if there is no file."""
    marks = queries("export").row_marks(conn, id=export_id)
    return b"" if marks is None else bytes(marks)


def note_file_deleted(conn: Connection, export_id: int) -> None:
    """Notes that the file of a finished export was deleted."""
    queries("export").note_file_deleted(conn, id=export_id)


def expired(conn: Connection, retention: float, *, most: int, left_out: Sequence[int] = ()) -> list[tuple[int, str]]:
    """Id and stored name of the file, of exports that ended at least `retention` seconds ago and still have it.

    They stay locked until the transaction ends.
    """
    found = queries("export").expired(conn, retention=retention, most=most, left_out=list(left_out))
    return [(row["id"], row["stored_name"]) for row in found]


def forget_history(conn: Connection) -> None:
    """Deletes what happened to exports long ago. The exports stay."""
    queries("export").forget_events(conn, days=HISTORY_DAYS)


def files_kept(conn: Connection) -> int:
    """About how many finished exports still have their files, as Postgres estimated at its last VACUUM or ANALYZE."""
    return int(queries("export").files_kept(conn))


def mark_done(conn: Connection, export: Export, reply: str | None = None) -> Export:
    """Notes the delivery and the receiver's reply, and wipes the stored password. Raises ExportLost.

    Stores what was delivered, and the manifest that says so. The same statement moves cursor and sequence of the
    export's feed, if it has one.
    """
    delivered = export.delivered and Json(asdict(export.delivered))
    manifest = export.manifest if delivered else None  # without another form it is stored already
    return _moved(conn, "mark_done", export, reply=reply, delivered=delivered, manifest=manifest)


def mark_error(conn: Connection, export: Export, reason: str, *, reply: str | None = None) -> Export:
    """Ends the export in error and wipes the stored password. `reply`: of the receiver, if a delivery failed.

    Raises ExportLost.
    """
    return _moved(conn, "mark_error", export, error=reason, reply=reply)


def postpone(conn: Connection, export: Export, seconds: float, reason: str, *, counted: bool = True) -> Export:
    """Makes the next attempt due in `seconds`. The status shows `reason` until then. Raises ExportLost."""
    return _moved(conn, "postpone_export", export, seconds=seconds, error=reason, counted=counted)


def wait_for_writers(conn: Connection, export: Export, seconds: float, reason: str) -> Export:
    """Like `postpone`, for an export that waits for writers of contacts. The attempt does not count."""
    return _moved(conn, "wait_for_writers", export, seconds=seconds, error=reason)


def postpone_delivery(conn: Connection, export: Export, seconds: float, reply: str, *, permanent: bool) -> Export:
    """Makes the next delivery due in `seconds`, and counts a `permanent` failure. Raises ExportLost."""
    return _moved(conn, "postpone_delivery", export, seconds=seconds, reply=reply, permanent=permanent)


def in_turn(conn: Connection, *, deliveries: bool, most_running: int, most: int) -> list[tuple[int, int]]:
    """Id and setting key of at most `most` exports (or deliveries) that may begin now, in the order of their turns."""
    found = queries("export").exports_in_turn(
        conn, deliveries=deliveries, most_running=most_running, patience=PATIENCE_SECONDS, most=most
    )
    return [(row["id"], row["setting_key"]) for row in found]


def has_held_back(conn: Connection) -> bool:
    """True while a request that is being refused holds the lock of a due export that no worker has begun."""
    return bool(queries("export").has_held_back(conn))


def stored_files(conn: Connection, ids: list[int]) -> dict[int, tuple[int | None, str | None]]:
    """By id: the attempt that may have a temporary file, and the name of the finished file if it must stay."""
    return {row["id"]: (row["attempt"], row["kept"]) for row in queries("export").keep_files(conn, ids=ids)}


def retry(conn: Connection, export: Export, ftp_secret: bytes | None, *, has_file: bool) -> Export:
    """Makes an export in error due again, with the settings and secrets it has here. Raises ExportAlreadyRunning.

    `has_file`: its file is still there, so that only the delivery is repeated. Raises UnknownExport.
    """
    try:
        row = queries("export").retry_export(
            conn,
            id=export.id,
            ftp_secret=ftp_secret,
            notify_secret=export.notify_secret,
            settings=Json(export.settings.to_json()),
            setting_key=export.setting_key,
            has_file=has_file,
        )
    except UniqueViolation:
        raise ExportAlreadyRunning from None
    if row is None:
        raise UnknownExport
    return _export(row)


def cancel(conn: Connection, export_id: int) -> Export | None:
    """Ends an unfinished export with the reason `cancelled`. None: it was finished already."""
    row = queries("export").cancel_export(conn, id=export_id)
    return _export(row) if row else None


def _moved(conn: Connection, query: str, export: Export, **values: Any) -> Export:
    """`reply` and `error` may have words of a host: whatever they are, they are stored in one line."""
    fence = {"attempt": export.attempt, "fence": export.delivery_attempts}
    for name in {"reply", "error"} & values.keys():
        values[name] = values[name] and one_line(values[name], "", LONGEST_TOLD)
    row = getattr(queries("export"), query)(conn, id=export.id, **fence, **values)
    if row is None:
        raise ExportLost(f"export {export.id} is no longer attempt {export.attempt}'s")
    return replace(_export(row), ftp_secret=export.ftp_secret)


def _export(row: Mapping[str, Any]) -> Export:
    known = {name: row[name] for name in EXPORT_COLUMNS}
    secrets = {name: None if row[name] is None else bytes(row[name]) for name in ("ftp_secret", "notify_secret")}
    return Export(
        **known
        | {
            "settings": ExportSettings.from_json(row["settings"]),
            "status": ExportStatus(row["status"]),
            "deliveries": tuple(row["deliveries"]),
            "warnings": tuple(row["warnings"] or ()),
            "delivered": row["delivered"] and DeliveredFile(**row["delivered"]),
            "columns": row["columns"] and [(field_id, name) for field_id, name in row["columns"]],
        }
        | secrets
    )
