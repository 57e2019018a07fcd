"""Whose export it is: the advisory lock on a setting's key, and the watchdog that stops who has lost an export.

One export of a setting runs at a time, in every process of every machine. Postgres drops the lock with the session or
transaction that holds it, so nothing has to be cleaned up after a crash. The watchdog stops work on an export that was
cancelled, that another worker has claimed, or that this worker hands back.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2 import DatabaseError, InterfaceError
from psycopg2.errors import LockNotAvailable

from contactexport import log_context
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, ExportAlreadyRunning, ExportLost
from contactexport.exports import store
from contactexport.exports.models import Export

TRY_AGAIN_SECONDS = 0.02
LOOK_SECONDS = 0.5
NOTE_SECONDS = 2.0

logger = logging.getLogger(__name__)


@contextmanager
def held_for_session(conn: Connection, setting_key: int, wait_seconds: float = 0) -> Iterator[bool]:
    """Holds the lock while the block runs. Tries for `wait_seconds`, and yields False if another session holds it.

    Closes the session if it cannot release the lock: Postgres then drops it.
    """
    give_up = time.monotonic() + wait_seconds
    while not (held := queries("advisory_lock").try_session_lock(conn, key=setting_key)):
        if time.monotonic() >= give_up:
            break
        time.sleep(TRY_AGAIN_SECONDS)
    try:
        yield held
    finally:
        if held and not conn.closed:
            try:
                queries("advisory_lock").unlock_session(conn, key=setting_key)
            except (DatabaseError, InterfaceError):
                conn.close()


def require_for_transaction(conn: Connection, setting_key: int, wait_seconds: float) -> None:
    """Holds the lock until the transaction ends. Raises ExportAlreadyRunning, and leaves the transaction broken.

    Waits briefly: a worker that has just finished, and a request that is being refused, hold the lock for a moment.
    """
    limit_wait(conn, wait_seconds)
    try:
        queries("advisory_lock").take_transaction_lock(conn, key=setting_key)
    except LockNotAvailable:
        raise ExportAlreadyRunning from None


def take_turn_of_user(conn: Connection, user: str) -> None:
    """The user's other requests for exports wait until the transaction ends. Raises DatabaseUnavailable."""
    try:
        queries("advisory_lock").take_turn_of_user(conn, created_by=user)
    except LockNotAvailable:
        raise DatabaseUnavailable("The user's requests wait for each other") from None


def limit_wait(conn: Connection, seconds: float) -> None:
    """Until the transaction ends, no statement waits longer for a lock. Then it becomes a DatabaseConflict."""
    milliseconds = max(1, int(seconds * 1000))  # 0 would be no limit
    queries("advisory_lock").limit_lock_wait(conn, milliseconds=f"{milliseconds}ms")


def free(conn: Connection, setting_key: int) -> None:
    """Ends the session that holds the lock, if this role may. Its process notices at its next statement."""
    list(queries("advisory_lock").end_holder(conn, key=setting_key))


def require_still_held(conn: Connection, setting_key: int) -> None:
    """Raises ExportLost when this session does not hold the lock."""
    if not queries("advisory_lock").holds_session_lock(conn, key=setting_key):
        raise ExportLost("the advisory lock is gone")


@contextmanager
def aborting_when_lost(
    context: Context, export: Export, abort: Callable[[], None], written_rows: Callable[[], int] | None = None
) -> Iterator[None]:
    """Calls `abort` from another thread while the block runs: within a second after the export is lost, or this worker
    is told to stop.

    Again and again until the block ends, because a cancel between two queries has no effect. Every two seconds the same
    thread stores `written_rows`, so that others see how far the export has come.
    """
    ended = threading.Event()

    def watch() -> None:
        noted, noted_at = 0, time.monotonic()
        while not ended.wait(LOOK_SECONDS):
            try:
                with context.database.transaction() as conn:
                    require_wanted(context, conn, export)
                    rows = written_rows() if written_rows else 0
                    if rows != noted and time.monotonic() - noted_at >= NOTE_SECONDS:
                        store.note_written_rows(conn, export, rows)
                        noted, noted_at = rows, time.monotonic()
            except ExportLost:
                logger.warning("stopping: id=%d attempt=%d", export.id, export.attempt)
                abort()
            except DatabaseUnavailable:
                continue  # the attempt itself notices the outage, and handles it

    watcher = threading.Thread(target=log_context.copied(watch), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def require_wanted(context: Context, conn: Connection, export: Export) -> None:
    """Raises ExportLost when the export is no longer this attempt's, or when this worker is told to stop."""
    store.require_attempt(conn, export)
    if context.stopping.is_set():
        raise ExportLost("the worker is stopped")


def require_ours(conn: Connection, export: Export) -> None:
    """Raises ExportLost when this session has lost the lock, or this attempt its export."""
    require_still_held(conn, export.setting_key)
    store.require_attempt(conn, export)
