"""What errors of Postgres mean: a lost connection, a refused query, or one statement's own trouble."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors as conditions
from psycopg2.errors import InsufficientPrivilege, QueryCanceled, ReadOnlySqlTransaction, UndefinedTable

from contactexport.errors import (
    ContactsIncomplete,
    DatabaseUnavailable,
    QueryCancelled,
    QueryFailed,
    RightsMissing,
    SchemaMismatch,
    ValueRefused,
)

# Conflicts, resources, objects in use, cancelled by somebody, system errors (PostgreSQL manual, Appendix A).
LOCAL_CLASSES = frozenset({"40", "53", "55", "57", "58"})
# What a value brings about each time it is read: a case not found, a subquery with several rows, a wrong form, an error
# in a function or raised by one.
VALUE_CLASSES = frozenset({"20", "21", "22", "2F", "38", "39", "P0"})
# An undefined table, function or operator, or object.
NAME_MISSING = frozenset({"42P01", "42883", "42704"})
FUNCTION = re.compile(r"(?:PL/pgSQL|SQL) function .*")
# The function of Postgres that refuses a query under row-level security; its message may be in any language.
ROW_SECURITY_CHECK = "check_enable_rls"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns lost or refused connections and missing rights into DatabaseUnavailable, rows that would be hidden into
    ContactsIncomplete, a missing table into SchemaMismatch; other database errors pass.
    """
    try:
        yield
    except UndefinedTable as error:
        remedy = place_of_missing_name(error) or ": run `flask db upgrade`"
        raise SchemaMismatch(f"The database lacks a table: {_first_line(error)}{remedy}") from error
    except (InsufficientPrivilege, ReadOnlySqlTransaction) as error:
        require_all_rows(error)
        raise DatabaseUnavailable(f"The database refuses this user: {_first_line(error)}") from error
    except psycopg2.Error as error:
        if not connection_is_lost(error):
            raise
        raise DatabaseUnavailable(f"The database does not answer: {_first_line(error)}") from error


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turns the refusal of a query (no such column, no disk space for sorting) into QueryFailed, which has classes for
    missing rights and for bad values; its end by somebody into QueryCancelled, and rows that would be hidden into
    ContactsIncomplete. Other errors pass.
    """
    try:
        yield
    except InsufficientPrivilege as error:
        require_all_rows(error)
        raise RightsMissing(f"The contacts database refuses this user: {_first_line(error)}") from error
    except QueryCanceled as error:
        raise QueryCancelled(f"The query was cancelled: {error.diag.message_primary}") from error
    except psycopg2.Error as error:
        if error.pgcode is None or (isinstance(error, psycopg2.OperationalError) and not error_is_local(error)):
            raise
        text = f"The database refuses the query: {error.diag.message_primary}{place_of_missing_name(error)}"
        if error.pgcode[:2] in VALUE_CLASSES:
            raise ValueRefused(text, _condition(error.pgcode)) from error
        raise QueryFailed(text) from error


def require_all_rows(error: psycopg2.Error) -> None:
    """Raises ContactsIncomplete when a query was refused because policies would hide rows from it."""
    if error.diag.source_function == ROW_SECURITY_CHECK:
        raise ContactsIncomplete(
            f"Rows would be missing: {_first_line(error)}; give the role that reads the table (of a view, the view's "
            "owner) all rows: ALTER ROLE … BYPASSRLS"
        ) from error


def place_of_missing_name(error: psycopg2.Error) -> str:
    """The function in which a name was not found, in brackets: an adopter's may need another search path than ours."""
    if error.pgcode not in NAME_MISSING or not (place := FUNCTION.search(error.diag.context or "")):
        return ""
    return f" ({place[0]}: give it a search_path of its own, see docs/guide.md)"


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


def _condition(code: str) -> str:
    """Such as "invalid text representation (22P02)"."""
    try:
        name = conditions.lookup(code).__name__
    except KeyError:  # of a later Postgres, or a function's own
        return code
    return f"{re.sub('(?<!^)(?=[A-Z])', ' ', name).lower()} ({code})"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "connection lost"
