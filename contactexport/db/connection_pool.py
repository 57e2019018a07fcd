"""Connections to Postgres that stay open between two uses, shared by the threads of a process."""

import select
import threading
import time
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import connection

from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable

KEPT_CONNECTIONS = 24
MOST_CONNECTIONS = 32
WAIT_SECONDS = 5
# A connection that was used a moment ago, and whose server has said nothing since, is taken for alive without asking.
TRUSTED_SECONDS = 5


class ConnectionPool:
    """Opens a connection when none is idle; the one used last goes first, its server process has all at hand."""

    def __init__(self, connect: Callable[[], connection]) -> None:
        self._connect = connect
        self._idle: list[tuple[connection, float]] = []
        self._free_places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def take(self) -> connection:
        """One for the caller alone, to be given back. Raises DatabaseUnavailable when all are in use for too long."""
        if not self._free_places.acquire(timeout=WAIT_SECONDS):
            raise DatabaseUnavailable(f"All {MOST_CONNECTIONS} database connections of this process are in use")
        try:
            return self._living() or self._connect()
        except BaseException:
            self._free_places.release()
            raise

    def give_back(self, conn: connection) -> None:
        """Keeps it, unless it is closed or enough are kept."""
        if len(self._idle) >= KEPT_CONNECTIONS:
            conn.close()
        elif not conn.closed:
            self._idle.append((conn, time.monotonic()))
        self._free_places.release()

    def close(self) -> None:
        """Closes those that nobody uses."""
        while self._idle:
            self._idle.pop()[0].close()

    def _living(self) -> connection | None:
        while self._idle:
            try:
                conn, used = self._idle.pop()
            except IndexError:  # another thread has taken the last one
                return None
            if _is_alive(conn, time.monotonic() - used):
                return conn
            conn.close()
        return None


def _is_alive(conn: connection, idle_seconds: float) -> bool:
    """A server that ends a session says so at once."""
    if idle_seconds < TRUSTED_SECONDS and not _has_something_to_read(conn):
        return True
    try:
        queries("server").ping(conn)
    except psycopg2.Error:
        return False
    return True


def _has_something_to_read(conn: connection) -> bool:
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))
