"""Reads and writes of the table `export`. Every write of a worker carries its attempt number, the fence."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from psycopg2.errors import LockNotAvailable, UniqueViolation
from psycopg2.extras import Json

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, ExportAlreadyRunning, ExportLost, UnknownExport
from contactexport.models import Caller, Export, ExportSettings, ExportStatus, setting_key

LARGEST_ID = 2**63 - 1
PATIENCE_SECONDS = 600  # so long smaller exports of the same user go first
EXPORT_COLUMNS = tuple(one.name for one in fields(Export))


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
    """Adds a scheduled export and returns its id; None when the user has `most_unfinished` already.

    Waits so many seconds for other requests of the same setting or user. An export with the same setting that has ended
    within the last `waited_seconds` counts as unfinished. A `notify_secret` is a second statement: it needs a
    transaction. Raises ExportAlreadyRunning when one with its key is unfinished, DatabaseUnavailable when other
    requests of the user keep it waiting too long.
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
    """The id of the export that refuses others of its setting; None when there is none, or the team is another one."""
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
    if not caller.may_see(export):
        raise UnknownExport
    return export


def list_newest(
    conn: Connection, caller: Caller, *, status: str | None, before: int | None, limit: int
) -> Iterator[Export]:
    """Exports that the caller may see, with ids below `before`, newest first, at most `limit`."""
    team = None if caller.operator else caller.team
    for row in queries("export").list_exports(conn, team=team, status=status, before=before, limit=limit):
        yield _export(row)


def claim(conn: Connection, export_id: int, setting_key: int) -> Export | None:
    """Starts the next attempt; None when the export is finished, not due yet or has another key by now.

    The advisory lock of the key must be held.
    """
    row = queries("export").claim_export(conn, id=export_id, setting_key=setting_key)
    return _export(row) if row else None


def note_expected_rows(conn: Connection, export: Export, rows_expected: int) -> None:
    """Stores an estimate of the rows. Raises ExportLost when the attempt is no longer the current one."""
    if not queries("export").note_expected_rows(
        conn, id=export.id, attempt=export.attempt, rows_expected=rows_expected
    ):
        raise ExportLost(f"export {export.id} is not attempt {export.attempt}'s any more")


def require_attempt(conn: Connection, export: Export) -> None:
    """Raises ExportLost unless the export is unfinished and still this attempt's."""
    if queries("export").has_attempt(conn, id=export.id, attempt=export.attempt) is None:
        raise ExportLost(f"export {export.id} is not attempt {export.attempt}'s any more")


def mark_ready(conn: Connection, export: Export, **written: Any) -> Export:
    """The file is complete: `rows`, `bytes`, `sha256`, `effective_until`, `complete_from`, `marks`,
    and `delivery_attempts`, 1 if this attempt goes on to deliver it.

    Raises ExportLost.
    """
    return _moved(conn, "mark_ready", export, **written)


def row_marks(conn: Connection, export_id: int) -> bytes:
    """Where rows begin in the export's file; nothing for one without a file."""
    marks = queries("export").row_marks(conn, id=export_id)
    return b"" if marks is None else bytes(marks)


def note_file_deleted(conn: Connection, export_id: int) -> None:
    """The file of a finished export is gone for good."""
    queries("export").note_file_deleted(conn, id=export_id)


def expired(conn: Connection, retention: float) -> list[tuple[int, str]]:
    """Id and file name of exports that have been finished for so many seconds and still have their file."""
    return [(row["id"], row["file_name"]) for row in queries("export").expired(conn, retention=retention)]


def mark_done(conn: Connection, export: Export, reply: str | None = None) -> Export:
    """The file is delivered, with this reply of its receiver; the stored password is wiped. Raises ExportLost."""
    return _moved(conn, "mark_done", export, reply=reply)


def mark_error(conn: Connection, export: Export, reason: str, *, reply: str | None = None) -> Export:
    """The export ends in error for this reason; the stored password is wiped. Raises ExportLost.

    `reply` is the receiver's, when it was the last one of its deliveries that failed.
    """
    return _moved(conn, "mark_error", export, error=reason, reply=reply)


def postpone(conn: Connection, export: Export, seconds: float, reason: str, *, counted: bool = True) -> Export:
    """The next attempt is due in so many seconds; `reason` shows in the status until then. Raises ExportLost."""
    return _moved(conn, "postpone_export", export, seconds=seconds, error=reason, counted=counted)


def wait_for_writers(conn: Connection, export: Export, seconds: float, reason: str) -> Export:
    """The same for an export that waits for those who change contacts; such an attempt does not count.

    Raises ExportLost.
    """
    return _moved(conn, "wait_for_writers", export, seconds=seconds, error=reason)


def postpone_delivery(conn: Connection, export: Export, seconds: float, reply: str, *, permanent: bool) -> Export:
    """The next delivery is due in so many seconds; a `permanent` failure is counted as such. Raises ExportLost."""
    return _moved(conn, "postpone_delivery", export, seconds=seconds, reply=reply, permanent=permanent)


def in_turn(conn: Connection, *, deliveries: bool, most_running: int, most: int) -> list[tuple[int, int]]:
    """Id and setting key of exports (or deliveries) that may begin now, whose turn it is first, `most` at most."""
    found = queries("export").exports_in_turn(
        conn, deliveries=deliveries, most_running=most_running, patience=PATIENCE_SECONDS, most=most
    )
    return [(row["id"], row["setting_key"]) for row in found]


def has_held_back(conn: Connection) -> bool:
    """True while a due export that nobody has begun is held, by a request that is being refused."""
    return bool(queries("export").has_held_back(conn))


def kept_files(conn: Connection, ids: list[int]) -> dict[int, tuple[int | None, bool]]:
    """By id: the attempt that may still have a temporary file, and whether the finished file is to be kept."""
    return {row["id"]: (row["attempt"], row["keeps_file"]) for row in queries("export").keep_files(conn, ids=ids)}


def retry(conn: Connection, export: Export, ftp_secret: bytes | None, *, has_file: bool) -> Export:
    """Revives an export in error, with a new FTP password if given, and the settings and the notification URL that it
    has here; `has_file` tells whether its file is still there.

    Raises ExportAlreadyRunning, UnknownExport.
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
    """Ends an unfinished export with the reason `cancelled`; None when it was finished already."""
    row = queries("export").cancel_export(conn, id=export_id)
    return _export(row) if row else None


def _moved(conn: Connection, query: str, export: Export, **values: Any) -> Export:
    fence = {"attempt": export.attempt, "fence": export.delivery_attempts}
    row = getattr(queries("export"), query)(conn, id=export.id, **fence, **values)
    if row is None:
        raise ExportLost(f"export {export.id} is not attempt {export.attempt}'s any more")
    return replace(_export(row), ftp_secret=export.ftp_secret)


def _export(row: Mapping[str, Any]) -> Export:
    known = {name: row[name] for name in EXPORT_COLUMNS}
    return Export(
        **known
        | {
            "settings": ExportSettings.from_json(row["settings"]),
            "status": ExportStatus(row["status"]),
            "deliveries": tuple(row["deliveries"]),
            "ftp_secret": _bytes(row["ftp_secret"]),
            "notify_secret": _bytes(row["notify_secret"]),
        }
    )


def _bytes(stored: Any) -> bytes | None:
    return None if stored is None else bytes(stored)
