"""Accepts an export: from here on it exists, whatever dies, and the same setting is refused until it ends."""

import secrets
import time
from dataclasses import replace

from contactexport import audit_log, crash_points
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import ExportAlreadyRunning, TooManyRequests
from contactexport.hidden_url import has_secrets, hidden
from contactexport.models import DEFAULT_TEAM, Caller, ExportSettings

BUSY_LOCK_SECONDS = 1.0
UNFINISHED_RETRY_SECONDS = 30


def request(
    backend: Backend,
    settings: ExportSettings,
    ftp_password: str | None,
    caller: Caller,
    arrived: float | None = None,
) -> int:
    """Stores the export and wakes a worker; returns its id. `arrived` is when the request came in (perf_counter).

    If the process dies before the commit, nothing was accepted; after it, or when the broker does not take the message,
    the sweep finds the row.
    Raises ExportAlreadyRunning (4001), TooManyRequests, DatabaseUnavailable.
    """
    export_id = store(
        backend,
        settings,
        ftp_password,
        caller.name,
        team=caller.team,
        most_unfinished=caller.exports_per_user or backend.settings.exports_per_user,
        arrived=arrived,
    )
    crash_points.reach("export accepted")
    backend.queue.publish_export()
    return export_id


def store(
    backend: Backend,
    settings: ExportSettings,
    ftp_password: str | None,
    created_by: str,
    *,
    team: str = DEFAULT_TEAM,
    most_unfinished: int | None = None,
    arrived: float | None = None,
) -> int:
    """Stores the export without waking anybody. `most_unfinished` of one user are stored, None for no limit.

    The same setting is refused, too, if it was running when this request arrived and has ended since: of requests at
    the same instant one is accepted, however short the export.
    Raises ExportAlreadyRunning, TooManyRequests, DatabaseUnavailable.
    """
    ftp_secret = None if ftp_password is None else backend.secrets.encrypt(ftp_password)
    settings, notify_secret = split_url(backend, settings)
    # Two statements with a URL to encrypt: both are stored, or none.
    opened = backend.database.autocommit if notify_secret is None else backend.database.transaction
    crash_points.reach("export asked for")
    try:
        with opened() as conn:
            export_id = export_repository.accept(
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
        raise already_running(backend, settings.key(team), team) from None
    if export_id is None:
        raise TooManyRequests(
            f"{most_unfinished} exports are not finished yet: no more at a time", UNFINISHED_RETRY_SECONDS
        )
    audit_log.note("export accepted", export=export_id, user=created_by, method=settings.distribution_method)
    return export_id


def already_running(backend: Backend, setting_key: int, team: str) -> ExportAlreadyRunning:
    """The refusal of a setting, with the id of the export that is running if the team may see it."""
    with backend.database.autocommit() as conn:
        return ExportAlreadyRunning(export_repository.running(conn, setting_key, team))


def split_url(backend: Backend, settings: ExportSettings) -> tuple[ExportSettings, bytes | None]:
    """The settings as they may be stored and shown, and the whole notification URL, encrypted, if it has secrets."""
    url = settings.notification_url
    if url is None or not has_secrets(url):
        return settings, None
    return replace(settings, notification_url=hidden(url)), backend.secrets.encrypt(url)
