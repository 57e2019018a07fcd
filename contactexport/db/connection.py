"""Connections to Postgres: pooled ones for short transactions, and sessions for the run of an export."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import psycopg2
from psycopg2.extensions import (
    ISOLATION_LEVEL_READ_COMMITTED,
    ISOLATION_LEVEL_REPEATABLE_READ,
    connection,
    cursor,
    parse_dsn,
)

from contactexport.db.errors import translated_errors
from contactexport.db.pooler import require_own_process
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, SettingsError
from contactexport.settings import DEFAULT_SCHEMA

# Modules outside db know a connection by this name.
Connection: TypeAlias = connection

# The URL takes precedence. Both sides notice a dead peer within about 30 seconds, because a lock must not outlive the
# machine that held it. `options` with settings of Postgres is not here: PgBouncer refuses it.
CONNECT_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "contactexport",
}
REUSABLE_CONNECTIONS = 24
MAX_CONNECTIONS = 32
WAIT_SECONDS = 5
# A server that ends a session says so at once. So a connection needs no ping if it was used a moment ago and its server
# has sent nothing since.
TRUSTED_SECONDS = 5

Row = dict[str, Any]


class RowCursor(cursor):  # type: ignore[misc] # psycopg2 has no types
    """A cursor whose rows are dictionaries, value by name of the column.

    psycopg2's RealDictCursor fills a class of its own, which takes as long as a short query. The row comes before the
    names: a server-side cursor knows its columns only after its first row.
    """

    def fetchone(self) -> Row | None:
        """The next row. None after the last one."""
        row = super().fetchone()
        return None if row is None else dict(zip([column.name for column in self.description], row, strict=True))

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, at most `size`."""
        return self._named(super().fetchmany(self.arraysize if size is None else size))

    def fetchall(self) -> list[Row]:
        """All remaining rows."""
        return self._named(super().fetchall())

    def __next__(self) -> Row:
        """The next row of a loop."""
        row = super().__next__()
        return dict(zip([column.name for column in self.description], row, strict=True))

    def _named(self, rows: list[tuple[Any, ...]]) -> list[Row]:
        names = [column.name for column in self.description or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]


class ConnectionPool:
    """Opens a connection if none is idle. Takes the one used last first: its server process has warm caches."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._idle: list[tuple[Connection, float]] = []
        self._free_places = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def take(self) -> Connection:
        """A connection for the caller alone. Raises DatabaseUnavailable if all are in use for WAIT_SECONDS."""
        if not self._free_places.acquire(timeout=WAIT_SECONDS):
            raise DatabaseUnavailable(f"All {MAX_CONNECTIONS} database connections of this process are in use")
        try:
            while self._idle:
                try:
                    conn, used = self._idle.pop()
                except IndexError:  # another thread has taken the last one
                    break
                sent_by_server = select.poll()
                sent_by_server.register(conn.fileno(), select.POLLIN)
                if time.monotonic() - used < TRUSTED_SECONDS and not sent_by_server.poll(0):
                    return conn
                try:
                    queries("server").ping(conn)
                except psycopg2.Error:
                    conn.close()
                else:
                    return conn
            return self._connect()
        except BaseException:
            self._free_places.release()
            raise

    def give_back(self, conn: Connection) -> None:
        """Puts a connection back. Closes it if enough are idle."""
        if len(self._idle) >= REUSABLE_CONNECTIONS:
            conn.close()
        elif not conn.closed:
            self._idle.append((conn, time.monotonic()))
        self._free_places.release()

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop()[0].close()


class Database:
    """One Postgres database. It opens nothing before first use, and shares nothing across a fork.

    `url` is called when a connection is needed: the embedded server need not run before. Every session looks for names
    in `schema` and in Postgres' own schema, nowhere else (docs/decisions/connections.md). `contacts_only`: an upgrade
    of the empty database makes no tables of exports and users.
    """

    def __init__(self, url: Callable[[], str], schema: str = DEFAULT_SCHEMA, *, contacts_only: bool = False) -> None:
        self._url = url
        self.schema = schema
        self.contacts_only = contacts_only
        self._lock = threading.Lock()
        self._pools: tuple[ConnectionPool, ConnectionPool] | None = None
        self._pools_owner = 0
        self._pooler_checked_by = 0  # the process id

    @property
    def url(self) -> str:
        """The libpq URL in use, password included."""
        return self._url()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A pooled connection in one transaction. It commits at the end, and rolls back on any error.

        Raises DatabaseUnavailable if Postgres cannot be reached or ends the connection.
        """
        with self.autocommit() as conn:
            conn.autocommit = False
            try:
                with conn:
                    yield conn
            finally:
                if not conn.closed:
                    conn.autocommit = True

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A pooled connection on which each statement is a transaction: one round trip instead of three.

        Raises DatabaseUnavailable if Postgres cannot be reached or ends the connection.
        """
        with translated_errors():
            pool, _ = self._current_pools()
            conn = pool.take()
            try:
                yield conn
            finally:
                pool.give_back(conn)

    @contextmanager
    def session(self, *, snapshot: bool = False) -> Iterator[Connection]:
        """A new connection, closed at the end, that may live for hours.

        It is in autocommit, or with `snapshot` in one read-only repeatable-read transaction. Raises DatabaseUnavailable
        if Postgres cannot be reached or ends the connection.
        """
        with translated_errors():
            conn = self._connect()
            try:
                if snapshot:
                    begin_snapshot(conn)
                yield conn
            finally:
                conn.close()

    @contextmanager
    def reusable_session(self) -> Iterator[Connection]:
        """Like `session`, but back in a pool at the end, unless the block raises.

        Starting a server process takes as long as an export of a few rows. After the block nobody may cancel its
        queries, and the session must hold no session lock.
        """
        with translated_errors():
            _, pool = self._current_pools()
            conn = pool.take()
            try:
                yield conn
                try:
                    conn.rollback()
                    # Not DEFAULT: that is the default of the role, which may be serializable.
                    conn.set_session(ISOLATION_LEVEL_READ_COMMITTED, readonly="DEFAULT", autocommit=True)
                except psycopg2.Error:  # for example a cancel that came too late
                    conn.close()
            except BaseException:
                conn.close()
                raise
            finally:
                pool.give_back(conn)

    def close(self) -> None:
        """Closes the idle connections of this process."""
        with self._lock:
            if self._pools is not None and self._pools_owner == os.getpid():
                for pool in self._pools:
                    pool.close()
            self._pools = None

    def _connect(self) -> Connection:
        url = self._url()
        try:
            options = CONNECT_OPTIONS | {
                name: value for name, value in parse_dsn(url).items() if name in CONNECT_OPTIONS
            }
            connect = partial(psycopg2.connect, url, cursor_factory=RowCursor, client_encoding="UTF8", **options)
            conn = connect()
        except psycopg2.ProgrammingError:  # its text would reveal parts of the password
            raise SettingsError(
                "The database's URL cannot be read: write it like postgresql://user@host:5432/database, "
                "with special characters in a password as %XX, such as %40 for @"
            ) from None
        conn.autocommit = True
        try:
            if self._pooler_checked_by != os.getpid():
                require_own_process(conn, connect)
                self._pooler_checked_by = os.getpid()
            queries("server").lift_time_limit(conn)
            queries("server").pin_settings(conn, schema=self.schema)
        except BaseException:
            conn.close()
            raise
        return conn

    def _current_pools(self) -> tuple[ConnectionPool, ConnectionPool]:
        """The pool of short transactions, and that of sessions."""
        with self._lock:
            if self._pools is None or self._pools_owner != os.getpid():
                self._pools = ConnectionPool(self._connect), ConnectionPool(self._connect)
                self._pools_owner = os.getpid()
            return self._pools


def begin_snapshot(conn: Connection) -> None:
    """Begins a read-only repeatable-read transaction. Its snapshot is that of the next query."""
    conn.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True, autocommit=False)


def cancel(conn: Connection) -> None:
    """Cancels the query that a session runs, if any. Any thread may call it."""
    with suppress(psycopg2.Error):  # it is closed, or its server is gone
        conn.cancel()
