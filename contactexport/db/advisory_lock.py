"""Postgres advisory locks with a 64-bit key."""

from psycopg2 import DatabaseError, InterfaceError
from psycopg2.errors import LockNotAvailable

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def try_session_lock(conn: Connection, key: int) -> bool:
    """Takes the lock for the session; False when another session has it."""
    return bool(queries("advisory_lock").try_session_lock(conn, key=key))


def unlock_session(conn: Connection, key: int) -> None:
    """Lets go of a lock taken by `try_session_lock`, if need be with the session; one that was ended has done so."""
    try:
        queries("advisory_lock").unlock_session(conn, key=key)
    except (DatabaseError, InterfaceError):
        conn.close()


def holds_session_lock(conn: Connection, key: int) -> bool:
    """True while this session has the lock."""
    return bool(queries("advisory_lock").holds_session_lock(conn, key=key))


def end_holder(conn: Connection, key: int) -> None:
    """Ends the session that holds the lock, if there is one we may end; its process notices at its next statement."""
    list(queries("advisory_lock").end_holder(conn, key=key))


def take_transaction_lock(conn: Connection, key: int, wait_seconds: float) -> bool:
    """Takes the lock until the transaction ends, waiting so many seconds; False (and a broken transaction) if not."""
    try:
        milliseconds = max(1, int(wait_seconds * 1000))  # 0 would be no limit
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=f"{milliseconds}ms")
        queries("advisory_lock").take_transaction_lock(conn, key=key)
    except LockNotAvailable:
        return False
    return True
