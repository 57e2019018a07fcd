"""How an attempt at the rows of an export ends when no file has come of it, and when it is tried again."""

from datetime import timedelta

from contactexport import audit_log
from contactexport.backend import Backend
from contactexport.db import change_repository, export_repository
from contactexport.db.connection import Connection
from contactexport.models import Export

RETRY_SECONDS = (10, 60, 300, 900)
WRITERS_SECONDS = 30


def failed(conn: Connection, export: Export, reason: str) -> Export:
    """It ends in error: trying again would not help."""
    audit_log.note("export failed", export=export.id, user=export.created_by, attempt=export.attempt, error=reason)
    return export_repository.mark_error(conn, export, reason)


def postponed(backend: Backend, conn: Connection, export: Export, reason: str) -> Export:
    """It is tried again after a while, or ends in error after the last attempt."""
    if export.run_attempts >= backend.settings.attempt_limit:
        return failed(conn, export, reason)
    delay = RETRY_SECONDS[min(export.run_attempts, len(RETRY_SECONDS)) - 1]
    _note_postponed(export, delay, reason)
    return export_repository.postpone(conn, export, delay, reason)


def put_off_for_writers(backend: Backend, conn: Connection, export: Export, reason: str) -> Export:
    """Nobody's attempt, like an outage; but whoever forgot to end a transaction has to learn of it some time."""
    waited = timedelta(0)
    if export.writers_since is not None:
        waited = change_repository.clock(conn) - export.writers_since
    left = backend.settings.writers_limit - waited.total_seconds()
    if left <= 0:
        return failed(conn, export, f"{reason}; given up after {backend.settings.writers_limit:g} seconds")
    delay = min(WRITERS_SECONDS, left)
    _note_postponed(export, delay, reason)
    return export_repository.wait_for_writers(conn, export, delay, reason)


def _note_postponed(export: Export, seconds: float, reason: str) -> None:
    audit_log.note(
        "export postponed",
        export=export.id,
        user=export.created_by,
        attempt=export.attempt,
        seconds=seconds,
        error=reason,
    )
