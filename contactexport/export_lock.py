"""The advisory lock on a setting's key: one export of a setting at a time, in every process of every machine.

Postgres drops the lock with the session or transaction that holds it, so nothing has to be cleaned up after a crash.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from contactexport.db import advisory_lock
from contactexport.db.connection import Connection
from contactexport.errors import ExportAlreadyRunning, ExportLost

TRY_AGAIN_SECONDS = 0.02


@contextmanager
def held_for_session(conn: Connection, setting_key: int, wait_seconds: float = 0) -> Iterator[bool]:
    """Tries so many seconds to hold the lock as long as the block runs; yields False when another session holds it."""
    held = _try(conn, setting_key, wait_seconds)
    try:
        yield held
    finally:
        if held and not conn.closed:
            advisory_lock.unlock_session(conn, setting_key)


def _try(conn: Connection, setting_key: int, wait_seconds: float) -> bool:
    give_up = time.monotonic() + wait_seconds
    while not advisory_lock.try_session_lock(conn, setting_key):
        if time.monotonic() >= give_up:
            return False
        time.sleep(TRY_AGAIN_SECONDS)
    return True


def require_for_transaction(conn: Connection, setting_key: int, wait_seconds: float) -> None:
    """Holds the lock until the transaction ends.

    A worker that has just finished lets go a moment after its last write, and a request that is being refused holds
    the lock for a moment too: so a busy lock is waited for, briefly. Raises ExportAlreadyRunning.
    """
    if not advisory_lock.take_transaction_lock(conn, setting_key, wait_seconds):
        raise ExportAlreadyRunning


def free(conn: Connection, setting_key: int) -> None:
    """Takes the lock away from the session that holds it, by ending the session."""
    advisory_lock.end_holder(conn, setting_key)


def require_still_held(conn: Connection, setting_key: int) -> None:
    """Raises ExportLost when this session does not hold the lock (any more)."""
    if not advisory_lock.holds_session_lock(conn, setting_key):
        raise ExportLost("the advisory lock is gone")
