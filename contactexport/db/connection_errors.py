"""What errors of Postgres mean: a lost connection, a refused query, or one statement's own trouble."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.errors import InsufficientPrivilege, QueryCanceled, ReadOnlySqlTransaction, UndefinedTable

from contactexport.errors import DatabaseUnavailable, QueryCancelled, QueryFailed, SchemaMismatch

# Conflicts, resources, objects in use, cancelled by somebody, system errors (PostgreSQL manual, Appendix A).
LOCAL_CLASSES = frozenset({"40", "53", "55", "57", "58"})


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
