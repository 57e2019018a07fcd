"""Connections to Postgres: pooled ones for short transactions, sessions for an export's run."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeAlias

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED, ISOLATION_LEVEL_REPEATABLE_READ, connection, parse_dsn

from contactexport.db.connection_errors import translated_errors
from contactexport.db.connection_pool import ConnectionPool
from contactexport.db.pooler import require_own_process
from contactexport.db.queries import queries
from contactexport.db.row_cursor import RowCursor
from contactexport.errors import SettingsError
from contactexport.settings import DEFAULT_SCHEMA

# The name by which modules outside db know a connection.
Connection: TypeAlias = connection

# Where the URL does not say otherwise. Dead peers are noticed within about 30 seconds on both sides: a lock must not
# outlive the machine that held it. Settings of Postgres are not sent along, since PgBouncer refuses them (`options`).
CONNECT_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "contactexport",
}


class Database:
    """One Postgres database. Nothing is opened before first use, and nothing is shared across a fork.

    `url` is called when a connection is needed, since the embedded server only then has to run. Every session finds its
    tables in `schema`, and nothing in any other but Postgres' own (docs/decisions/connections.md).
    """

    def __init__(self, url: Callable[[], str], schema: str = DEFAULT_SCHEMA) -> None:
        self._url = url
        self.schema = schema
        self._lock = threading.Lock()
        self._pools: tuple[ConnectionPool, ConnectionPool] | None = None
        self._pools_owner = 0
        self._looked_for_pooler = 0  # the process that has

    @property
    def url(self) -> str:
        """The libpq URL in use, password included."""
        return self._url()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A pooled connection in one transaction: committed at the end, rolled back on any error.

        Raises DatabaseUnavailable when Postgres cannot be reached or breaks off.
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

        Raises DatabaseUnavailable when Postgres cannot be reached or breaks off.
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
        """A connection of its own, closed at the end, that may live for hours.

        Autocommit, or with `snapshot` one read-only repeatable-read transaction.
        Raises DatabaseUnavailable when Postgres cannot be reached or breaks off.
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
    def kept_session(self) -> Iterator[Connection]:
        """Like `session`, but kept for the next one unless the block raises: a new server process takes as long as an
        export of a few rows.

        Nobody may cancel its queries any more once the block has ended, and it must hold no lock of the session then.
        """
        with translated_errors():
            _, pool = self._current_pools()
            conn = pool.take()
            try:
                yield conn
                _make_reusable(conn)
            except BaseException:
                conn.close()
                raise
            finally:
                pool.give_back(conn)

    def close(self) -> None:
        """Closes the connections that this process keeps."""
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
        except psycopg2.ProgrammingError:  # its text would show parts of the password
            raise SettingsError(
                "The database's URL cannot be read: postgresql://user@host:5432/database expected, "
                "with special characters in a password as %XX, such as %40 for @"
            ) from None
        conn.autocommit = True
        try:
            if self._looked_for_pooler != os.getpid():
                require_own_process(conn, connect)
                self._looked_for_pooler = os.getpid()
            queries("server").lift_time_limit(conn)
            queries("server").pin_settings(conn, schema=self.schema)
        except BaseException:
            conn.close()
            raise
        return conn

    def _current_pools(self) -> tuple[ConnectionPool, ConnectionPool]:
        """Those of short transactions and of sessions."""
        with self._lock:
            if self._pools is None or self._pools_owner != os.getpid():
                self._pools = ConnectionPool(self._connect), ConnectionPool(self._connect)
                self._pools_owner = os.getpid()
            return self._pools


def begin_snapshot(conn: Connection) -> None:
    """Makes a session one read-only repeatable-read transaction: it sees what its next query sees."""
    conn.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True, autocommit=False)


def cancel(conn: Connection) -> None:
    """Breaks off the query that a session runs, if it does; may be called from another thread."""
    with suppress(psycopg2.Error):  # it has been closed meanwhile, or its server is gone
        conn.cancel()


def _make_reusable(conn: Connection) -> None:
    """Ends its transaction; closes it if that is refused, as by a cancel that came a moment too late."""
    try:
        conn.rollback()
        # Not the default: for psycopg2 that is the role's, which may be serializable.
        conn.set_session(isolation_level=ISOLATION_LEVEL_READ_COMMITTED, readonly="DEFAULT", autocommit=True)
    except psycopg2.Error:
        conn.close()
