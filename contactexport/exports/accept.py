"""Accepts an export. It then exists whatever dies, and the same setting is refused until it ends."""

import secrets
import time
from dataclasses import replace

from contactexport import audit, crash_points
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import ExportAlreadyRunning, TooManyRequests
from contactexport.exports import lock
from contactexport.exports import store as export_store
from contactexport.exports.models import Export, ExportSettings
from contactexport.queue.publisher import RUN_EXPORT
from contactexport.users.models import DEFAULT_TEAM, Caller

BUSY_LOCK_SECONDS = 1.0
UNFINISHED_RETRY_SECONDS = 30


def request(
    context: Context,
    settings: ExportSettings,
    ftp_password: str | None,
    caller: Caller,
    arrived: float | None = None,
) -> int:
    """Stores the export, wakes a worker and returns its id. `arrived`: when the request came in (perf_counter).

    If the process dies before the commit, nothing was accepted. After it, or when the broker does not take the message,
    the sweep finds the row.
    Raises ExportAlreadyRunning (4001), TooManyRequests, DatabaseUnavailable.
    """
    export_id = store(
        context,
        settings,
        ftp_password,
        caller.name,
        team=caller.team,
        most_unfinished=caller.exports_per_user or context.settings.exports_per_user,
        arrived=arrived,
    )
    crash_points.reach("export accepted")
    context.queue.publish(RUN_EXPORT)
    return export_id


def store(
    context: Context,
    settings: ExportSettings,
    ftp_password: str | None,
    created_by: str,
    *,
    team: str = DEFAULT_TEAM,
    most_unfinished: int | None = None,
    arrived: float | None = None,
) -> int:
    """Stores the export without waking a worker. A user may have `most_unfinished` exports, None: no limit.

    The same setting is refused also if its export was running when this request arrived and has ended since. So of
    requests at the same instant only one is accepted, however short the export.
    Raises ExportAlreadyRunning, TooManyRequests, DatabaseUnavailable.
    """
    ftp_secret = None if ftp_password is None else context.secrets.encrypt(ftp_password)
    notify_secret = None
    if settings.notification_url is not None:
        shown_url, notify_secret = context.secrets.split_url(settings.notification_url)
        settings = replace(settings, notification_url=shown_url)
    # Two statements with a URL to encrypt: both are stored, or none.
    opened = context.database.autocommit if notify_secret is None else context.database.transaction
    crash_points.reach("export asked for")
    try:
        with opened() as conn:
            export_id = export_store.accept(
                conn,
                settings,
                ftp_secret=ftp_secret,
                suffix=secrets.token_hex(3),
                created_by=created_by,
                team=team,
                wait_seconds=BUSY_LOCK_SECONDS,
                waited_seconds=None if arrived is None else time.perf_counter() - arrived,
                most_unfinished=most_unfinished,
                notify_secret=notify_secret,
            )
    except ExportAlreadyRunning:
        raise already_running(context, settings.key(team), team) from None
    if export_id is None:
        raise too_many(most_unfinished)
    audit.note("export accepted", export=export_id, user=created_by, method=settings.distribution_method)
    return export_id


def require_few_unfinished(conn: Connection, export: Export, most: int | None) -> None:
    """Raises TooManyRequests unless the user may have this one too. None: no limit. Runs of feeds do not count.

    Other requests of the user wait until this transaction ends. Raises DatabaseUnavailable if that takes long.
    """
    if most is None or export.feed_id is not None:
        return
    lock.take_turn_of_user(conn, export.created_by)
    if queries("preview").unfinished_of_user(conn, created_by=export.created_by) >= most:
        raise too_many(most)


def too_many(most: int | None) -> TooManyRequests:
    """The refusal of a user who has so many unfinished exports."""
    return TooManyRequests(f"Too many unfinished exports: {most} is the limit", UNFINISHED_RETRY_SECONDS)


def already_running(context: Context, setting_key: int, team: str) -> ExportAlreadyRunning:
    """The refusal of a setting. It names the running export if it is the team's."""
    with context.database.autocommit() as conn:
        return ExportAlreadyRunning(export_store.running(conn, setting_key, team))
