"""What becomes of an attempt that ends in an error: the one table from error to failure, retry or handing back.

| error                            | becomes                 | retried after      | counted | until                |
|----------------------------------|-------------------------|--------------------|---------|----------------------|
| ExportLost                       | handed back, or dropped | at once            | no      |                      |
| FeedMustPause                    | failed, its feed pauses |                    |         |                      |
| ExportFailed, ContactsIncomplete | failed                  |                    |         |                      |
| WindowOpen                       | retried                 | 30 s               | no      | WRITERS_LIMIT        |
| other outages, StorageUnfit,     | retried                 | 30 s               | no      |                      |
| SecretUnreadable                 |                         |                    |         |                      |
| ValueRefused                     | failed                  |                    |         |                      |
| other refused queries, OSError   | retried                 | 10 s, 1, 5, 15 min | yes     | ATTEMPT_LIMIT        |
| DeliveryFailed                   | delivery retried        | 1, 5, 15, 60 min   | yes     | DELIVERY_LIMIT, or 3 |
|                                  |                         |                    |         | permanent failures   |
| anything else: a fault of ours   | like the two above      |                    | yes     |                      |
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from contactexport import audit
from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.errors import translated_errors
from contactexport.errors import (
    ContactsIncomplete,
    DatabaseUnavailable,
    DeliveryFailed,
    ExportFailed,
    ExportLost,
    QueryFailed,
    SecretUnreadable,
    StorageUnfit,
    ValueRefused,
    WindowOpen,
)
from contactexport.exports import lock, store
from contactexport.exports.models import Export, ExportStatus
from contactexport.feeds import store as feed_store
from contactexport.feeds.errors import FeedMustPause
from contactexport.feeds.models import PauseKind

RUN_RETRY_SECONDS = (10, 60, 300, 900)
# After 1, 5, 15 and 60 minutes, then hourly (contract, Status: "at the latest every hour").
DELIVERY_RETRY_SECONDS = (60, 300, 900, 3600)
WRITERS_RETRY_SECONDS = 30
OUTAGE_RETRY_SECONDS = 30
PERMANENT_FAILURES_LIMIT = 3
OUR_FAULT = "Internal error, see the log of the worker"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """An attempt that ended in an error. `handed_over`: another worker may have begun to deliver its file."""

    context: Context
    conn: Connection
    export: Export
    error: Any
    handed_over: bool

    def note(self, event: str, **values: Any) -> None:
        """Writes the event into the audit log."""
        export = self.export
        audit.note(event, export=export.id, user=export.created_by, attempt=export.attempt, **values)


def end_attempt(
    context: Context, conn: Connection, export: Export, error: Exception, *, hand_over: bool
) -> Export | None:
    """Writes what becomes of the export and returns it. None: another worker has it now.

    Postgres may go away while an outcome is written, or the export be lost. Then that becomes the error. Raises
    DatabaseUnavailable when it is still away after that: the row stays as it is, and the sweep finds it.
    """
    while True:
        ended = Ended(context, conn, export, error, hand_over)
        outcome = next(outcome for errors, outcome in TABLE if isinstance(error, errors))
        try:
            with translated_errors():
                return outcome(ended)
        except ExportLost as lost:
            if outcome is _handed_back:
                logger.warning("attempt given up: id=%d attempt=%d reason=%s", export.id, export.attempt, lost)
                return None
            error = lost
        except (DatabaseUnavailable, StorageUnfit) as outage:
            if outcome in (_handed_back, _retried_after_outage):
                raise
            error = outage


def _handed_back(ended: Ended) -> Export:
    """A worker that is told to stop gives its export back. The next attempt is due at once."""
    if not ended.context.stopping.is_set():
        raise ended.error
    with ended.context.database.transaction() as conn:
        export = store.postpone(conn, ended.export, 0, "Its worker was stopped", counted=False)
    ended.note("export handed back")
    return export


def _fail(ended: Ended, reason: str) -> Export:
    """A retry would not help."""
    ended.note("export failed", error=reason)
    return store.mark_error(ended.conn, ended.export, reason)


def _feed_paused(ended: Ended) -> Export:
    """In one transaction, so that the feed does not run into the same again."""
    with ended.context.database.transaction() as conn:
        if ended.export.feed_id is not None:
            feed_store.pause(conn, ended.export.feed_id, PauseKind(ended.error.kind), ended.error.text)
        export = store.mark_error(conn, ended.export, ended.error.text)
    ended.note("feed paused", feed=ended.export.feed_name, error=ended.error.text)
    return export


def _retried_after_writers(ended: Ended) -> Export:
    """A transaction that somebody forgot must show up at some time, so there is a limit."""
    export, reason, limit = ended.export, ended.error.text, ended.context.settings.writers_limit
    waited = timedelta(0) if export.writers_since is None else change_log.clock(ended.conn) - export.writers_since
    left = limit - waited.total_seconds()
    if left <= 0:
        return _fail(ended, f"{reason}; given up after {limit:g} seconds")
    seconds = min(WRITERS_RETRY_SECONDS, left)
    ended.note("export postponed", seconds=seconds, error=reason)
    return store.wait_for_writers(ended.conn, export, seconds, reason)


def _retried_after_outage(ended: Ended) -> Export:
    """Only this session may have ended, so the outcome is written on another connection."""
    export, outage = ended.export, ended.error
    what = {StorageUnfit: "storage", SecretUnreadable: "key"}.get(type(outage), "database")
    logger.warning("%s lost: id=%d attempt=%d reason=%s", what, export.id, export.attempt, outage.text)
    with ended.context.database.transaction() as conn:
        store.require_attempt(conn, export)
        if not ended.handed_over:  # whether it was marked ready may be unknown: nobody else delivers in this attempt
            export = replace(export, delivery_attempts=store.get(conn, export.id).delivery_attempts)
        return store.postpone(conn, export, OUTAGE_RETRY_SECONDS, outage.status_text, counted=False)


def _query_retried(ended: Ended) -> Export:
    # A query of an export that was cancelled or handed back was cancelled by its own watchdog.
    lock.require_wanted(ended.context, ended.conn, ended.export)
    logger.warning("query refused: id=%d attempt=%d reason=%s", ended.export.id, ended.export.attempt, ended.error.text)
    if isinstance(ended.error, ValueRefused):  # the value will be the same next time
        return _fail(ended, ended.error.status_text)
    return _retried(ended, ended.error.status_text)


def _file_retried(ended: Ended) -> Export:
    return _retried(ended, f"The file cannot be written: {ended.error.strerror or ended.error}")


def _our_fault(ended: Ended) -> Export:
    """A fault of ours is never retried at once, nor for ever."""
    logger.error("unexpected error: id=%d attempt=%d", ended.export.id, ended.export.attempt, exc_info=ended.error)
    if ended.export.status is ExportStatus.READY:
        return _delivery_retried(replace(ended, error=DeliveryFailed(OUR_FAULT, permanent=True)))
    return _retried(ended, OUR_FAULT)


def _retried(ended: Ended, reason: str) -> Export:
    export = ended.export
    if export.run_attempts >= ended.context.settings.attempt_limit:
        return _fail(ended, reason)
    seconds = RUN_RETRY_SECONDS[min(export.run_attempts, len(RUN_RETRY_SECONDS)) - 1]
    ended.note("export postponed", seconds=seconds, error=reason)
    return store.postpone(ended.conn, export, seconds, reason)


def _delivery_retried(ended: Ended) -> Export:
    """The file stays: only its delivery is retried."""
    conn, export, failure = ended.conn, ended.export, ended.error
    ended.note("delivery failed", error=failure.text)
    if export.settings.remote is None:
        return store.mark_error(conn, export, failure.text)
    limit = timedelta(seconds=ended.context.settings.delivery_limit)
    too_long = export.ready_at is not None and change_log.clock(conn) - export.ready_at >= limit
    if too_long or (failure.permanent and export.permanent_failures + 1 >= PERMANENT_FAILURES_LIMIT):
        return store.mark_error(conn, export, failure.text, reply=failure.text)
    seconds = DELIVERY_RETRY_SECONDS[min(export.delivery_attempts, len(DELIVERY_RETRY_SECONDS)) - 1]
    return store.postpone_delivery(conn, export, seconds, failure.text, permanent=failure.permanent)


# The first row that fits counts.
TABLE: tuple[tuple[tuple[type[Exception], ...], Callable[[Ended], Export]], ...] = (
    ((ExportLost,), _handed_back),
    ((FeedMustPause,), _feed_paused),
    ((ExportFailed, ContactsIncomplete), lambda ended: _fail(ended, ended.error.text)),
    ((WindowOpen,), _retried_after_writers),
    ((DatabaseUnavailable, StorageUnfit, SecretUnreadable), _retried_after_outage),
    ((QueryFailed,), _query_retried),
    ((DeliveryFailed,), _delivery_retried),
    ((OSError,), _file_retried),
    ((Exception,), _our_fault),
)
