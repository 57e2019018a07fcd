"""Connections to Postgres: pooled ones for short transactions, dedicated ones for an export's run."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import psycopg2
from psycopg2.errors import InsufficientPrivilege, QueryCanceled, ReadOnlySqlTransaction, UndefinedTable
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection

from contactexport.db.connection_pool import ConnectionPool
from contactexport.db.queries import queries
from contactexport.db.row_cursor import RowCursor
from contactexport.errors import DatabaseUnavailable, QueryCancelled, QueryFailed, SchemaMismatch, SettingsError

# The name by which modules outside db know a connection.
Connection: TypeAlias = connection

# Dead peers are noticed within about 30 seconds on both sides: a lock must not outlive the machine that held it.
CONNECT_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "client_encoding": "UTF8",
    "application_name": "contactexport",
}
SESSION_OPTIONS = "-c datestyle=ISO,YMD -c intervalstyle=iso_8601 -c timezone=UTC -c client_min_messages=warning"
SESSION_OPTIONS += " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
# Conflicts, resources, objects in use, cancelled by somebody, system errors (PostgreSQL manual, Appendix A).
LOCAL_CLASSES = frozenset({"40", "53", "55", "57", "58"})
CHECK_CLIENT_FROM_VERSION = 140_000
TRANSACTION_TIMEOUT_FROM_VERSION = 170_000


class Database:
    """One Postgres database. Nothing is opened before first use, and nothing is shared across a fork.

    `url` is called when a connection is needed, since the embedded server only then has to run.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._pool: ConnectionPool | None = None
        self._pool_owner = 0

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
            pool = self._current_pool()
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
                _lift_time_limits(conn)
                if snapshot:
                    begin_snapshot(conn)
                yield conn
            finally:
                conn.close()

    def close(self) -> None:
        """Closes the pooled connections of this process."""
        with self._lock:
            if self._pool is not None and self._pool_owner == os.getpid():
                self._pool.close()
            self._pool = None

    def _connect(self) -> Connection:
        url = self._url()
        try:
            conn = psycopg2.connect(url, options=SESSION_OPTIONS, cursor_factory=RowCursor, **CONNECT_OPTIONS)
        except psycopg2.ProgrammingError:  # its text would show parts of the password
            raise SettingsError(
                "The database's URL cannot be read: postgresql://user@host:5432/database expected, "
                "with special characters in a password as %XX, such as %40 for @"
            ) from None
        conn.autocommit = True
        return conn

    def _current_pool(self) -> ConnectionPool:
        with self._lock:
            if self._pool is None or self._pool_owner != os.getpid():
                self._pool = ConnectionPool(self._connect)
                self._pool_owner = os.getpid()
            return self._pool


def begin_snapshot(conn: Connection) -> None:
    """Makes a session one read-only repeatable-read transaction: it sees what its next query sees."""
    conn.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True, autocommit=False)


def cancel(conn: Connection) -> None:
    """Breaks off the query that a session runs, if it does; may be called from another thread."""
    with suppress(psycopg2.Error):  # it has been closed meanwhile, or its server is gone
        conn.cancel()


def _lift_time_limits(conn: Connection) -> None:
    queries("server").no_time_limits(conn)
    if conn.server_version >= CHECK_CLIENT_FROM_VERSION:
        queries("server").check_client(conn)
    if conn.server_version >= TRANSACTION_TIMEOUT_FROM_VERSION:
        queries("server").no_transaction_time_limit(conn)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns lost or refused connections and missing rights into DatabaseUnavailable, a missing table into
    SchemaMismatch; other database errors pass.
    """
    try:
        yield
    except UndefinedTable as error:
        raise SchemaMismatch(f"The database lacks a table: {_first_line(error)}: run `flask db upgrade`") from error
    except (InsufficientPrivilege, ReadOnlySqlTransaction) as error:
        raise DatabaseUnavailable(f"The database refuses this user: {_first_line(error)}") from error
    except psycopg2.Error as error:
        if not connection_is_lost(error):
            raise
        raise DatabaseUnavailable(f"The database does not answer: {_first_line(error)}") from error


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turns the refusal of a query (no such column, no disk space for sorting) into QueryFailed, its end by somebody
    into QueryCancelled; other errors pass.
    """
    try:
        yield
    except QueryCanceled as error:
        raise QueryCancelled(f"The query was cancelled: {error.diag.message_primary}") from error
    except psycopg2.Error as error:
        if error.pgcode is None or (isinstance(error, psycopg2.OperationalError) and not error_is_local(error)):
            raise
        raise QueryFailed(f"The database refuses the query: {error.diag.message_primary}") from error


def connection_is_lost(error: psycopg2.Error) -> bool:
    """True when Postgres broke off, or cannot be reached.

    What libpq notices by itself has no code, and in the middle of COPY not even the class that says so.
    """
    if type(error) is psycopg2.DatabaseError:
        return error.pgcode is None
    return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) and not error_is_local(error)


def error_is_local(error: psycopg2.Error) -> bool:
    """True for operational errors of one statement (a timeout, a cancel, a full disk), not of the connection."""
    code = getattr(error, "pgcode", None) or ""
    return code[:2] in LOCAL_CLASSES and code[:3] not in {"57P", "58P"} and code != "53300"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "connection lost"
