"""What errors of Postgres mean: a lost connection, a refused query, or one statement's own trouble."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors as conditions
from psycopg2.errors import InsufficientPrivilege, QueryCanceled, ReadOnlySqlTransaction, UndefinedTable

from contactexport.errors import (
    ContactsIncomplete,
    DatabaseConflict,
    DatabaseInTrouble,
    DatabaseUnavailable,
    QueryCancelled,
    QueryFailed,
    ResourcesLacking,
    RightsMissing,
    SchemaMismatch,
    ValueRefused,
)

# Classes of SQLSTATE (PostgreSQL manual, Appendix A). Serialization failures and deadlocks: a second try may succeed.
CONFLICT_CLASS = "40"
# Resources (disk, memory, connections), cancelled by somebody, errors of the system (a broken disk).
TROUBLE_CLASSES = frozenset({"53", "57", "58"})
# Of one statement, not of the connection: the same, limits of the program, objects in use.
LOCAL_CLASSES = TROUBLE_CLASSES | {CONFLICT_CLASS, "54", "55"}
# The server ends the session, whatever class that is in: shutdowns, crashes, limits of time.
ENDS_SESSION = frozenset({"25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"})
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
    """Turns lost or refused connections and missing rights into DatabaseUnavailable, which has classes for conflicts
    between transactions and for a server in trouble; rows that would be hidden into ContactsIncomplete, a missing table
    into SchemaMismatch, a limit of Postgres' own into QueryFailed. Other database errors pass.
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
        if connection_is_lost(error):
            raise DatabaseUnavailable(f"The database does not answer: {_first_line(error)}") from error
        require_no_conflict(error)
        state = (error.pgcode or "")[:2]
        if state in TROUBLE_CLASSES:
            condition = condition_name(error)
            raise DatabaseInTrouble(
                f"The database cannot do its work: {condition}: {_first_line(error)}", condition
            ) from error
        if state == "54":
            raise QueryFailed(f"The database refuses the statement: {_first_line(error)}") from error
        raise


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turns the refusal of a query (no such column, no disk space for sorting) into QueryFailed, which has classes for
    missing rights and for bad values; its end by somebody into QueryCancelled, one by a conflict with another
    transaction into DatabaseConflict, and rows that would be hidden into ContactsIncomplete. Other errors pass.
    """
    try:
        yield
    except InsufficientPrivilege as error:
        require_all_rows(error)
        raise RightsMissing(f"The contacts database refuses this user: {_first_line(error)}") from error
    except QueryCanceled as error:
        raise QueryCancelled(f"The query was cancelled: {error.diag.message_primary}") from error
    except psycopg2.Error as error:
        if error.pgcode is None or connection_is_lost(error):
            raise
        require_no_conflict(error)
        text = f"The database refuses the query: {error.diag.message_primary}{place_of_missing_name(error)}"
        if error.pgcode[:2] in VALUE_CLASSES:
            raise ValueRefused(text, _condition(error.pgcode)) from error
        if error.pgcode[:2] in LOCAL_CLASSES:
            raise ResourcesLacking(text, _condition(error.pgcode)) from error
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


def require_no_conflict(error: psycopg2.Error) -> None:
    """Raises DatabaseConflict for a serialization failure, a deadlock, or a conflict with a standby's replay."""
    if (error.pgcode or "")[:2] == CONFLICT_CLASS:
        raise DatabaseConflict(
            f"The database broke off a transaction in conflict with another: {_first_line(error)}"
        ) from error


def connection_is_lost(error: psycopg2.Error) -> bool:
    """True when Postgres broke off, or cannot be reached.

    What libpq notices by itself has no code, and in the middle of COPY not even the class that says so.
    """
    if type(error) is psycopg2.DatabaseError:
        return error.pgcode is None
    if error.pgcode in ENDS_SESSION:
        return True
    return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) and not error_is_local(error)


def error_is_local(error: psycopg2.Error) -> bool:
    """True for operational errors of one statement (a timeout, a cancel, a full disk), not of the connection."""
    code = getattr(error, "pgcode", None) or ""
    return code[:2] in LOCAL_CLASSES and code not in ENDS_SESSION


def condition_name(error: psycopg2.Error) -> str:
    """Such as "disk full"; the bare code where it has no name here."""
    return _condition(error.pgcode or "").partition(" (")[0]


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
