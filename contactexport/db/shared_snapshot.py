"""One state of the contacts' database for several sessions, so that what they read fits together."""

from dataclasses import dataclass
from datetime import datetime

import psycopg2

from contactexport.db import change_repository
from contactexport.db.connection import Connection, begin_snapshot
from contactexport.db.queries import queries
from contactexport.errors import SnapshotNotShared

# The first session holds the locks that count until all are done, so a later one must not wait for somebody who waits
# for the first; Postgres would see no deadlock.
LOCK_WAIT = "5s"


@dataclass(frozen=True)
class SharedSnapshot:
    """A snapshot that other sessions can take over while the transaction that has it is open."""

    id: str
    server_start: datetime


def begin(conn: Connection, *, shared: bool) -> SharedSnapshot | None:
    """Makes a session a read-only transaction that holds the tables and sees what its next query sees.

    With `shared` other sessions can join it; None if not, or if the server does not allow it.
    """
    begin_snapshot(conn)
    change_repository.hold_tables(conn)
    if not shared:
        return None
    try:
        return SharedSnapshot(**queries("snapshot").share(conn))
    except psycopg2.Error:
        if conn.closed:
            raise
    conn.rollback()
    change_repository.hold_tables(conn)
    return None


def join(conn: Connection, snapshot: SharedSnapshot) -> None:
    """Makes a session a read-only transaction that sees the same, and holds the tables as well.

    Raises SnapshotNotShared when it is on another server, or when the tables cannot be had at once.
    """
    begin_snapshot(conn)
    try:
        queries("snapshot").join(conn, id=snapshot.id)
        if queries("snapshot").server_start(conn) != snapshot.server_start:
            raise SnapshotNotShared("the session is on another server")
        queries("snapshot").hold_tables_at_once(conn)
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=LOCK_WAIT)
    except psycopg2.Error as error:
        raise SnapshotNotShared(str(error).strip()) from error
