"""What errors of Postgres mean: a lost connection, a refused query, or trouble of one statement."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors as conditions
from psycopg2.errors import (
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
    ReadOnlySqlTransaction,
    UndefinedTable,
)

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

# Classes of SQLSTATE (PostgreSQL manual, Appendix A).
# Serialization failures and deadlocks: a retry may succeed.
CONFLICT_CLASS = "40"
# Lack of resources (disk, memory, connections), a cancel or shutdown, errors of the system (a broken disk).
TROUBLE_CLASSES = frozenset({"53", "57", "58"})
# Errors of one statement, not of the connection: all of these, and limits of the program, and objects in use.
LOCAL_CLASSES = TROUBLE_CLASSES | {CONFLICT_CLASS, "54", "55"}
# The server ends the session, whatever the class of the code: shutdowns, crashes, timeouts.
ENDS_SESSION = frozenset({"25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"})
# A value causes these each time it is read: a case without a match, a subquery with several rows, a wrong form, an
# error in a function or raised by one.
VALUE_CLASSES = frozenset({"20", "21", "22", "2F", "38", "39", "P0"})
# An undefined table, function or operator, or object.
NAME_MISSING = frozenset({"42P01", "42883", "42704"})
FUNCTION = re.compile(r"(?:PL/pgSQL|SQL) function .*")
# The function of Postgres that refuses a query under row-level security. Its message may be in any language.
ROW_SECURITY_CHECK = "check_enable_rls"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translates what ends a connection or a transaction. Other database errors pass.

    - A lost or refused connection and missing rights become DatabaseUnavailable. Its subclasses DatabaseConflict and
      DatabaseInTrouble are for conflicts between transactions and for a server in trouble.
    - Rows that would be hidden become ContactsIncomplete.
    - A missing table becomes SchemaMismatch.
    - A lock that another transaction holds for too long becomes DatabaseConflict.
    - A limit of Postgres itself becomes QueryFailed.
    """
    try:
        yield
    except UndefinedTable as error:
        remedy = place_of_missing_name(error) or ": run `flask db upgrade`"
        raise SchemaMismatch(f"The database lacks a table: {_first_line(error)}{remedy}") from error
    except (InsufficientPrivilege, ReadOnlySqlTransaction) as error:
        require_all_rows(error)
        raise DatabaseUnavailable(f"The database refuses this user: {_first_line(error)}") from error
    except LockNotAvailable as error:
        raise DatabaseConflict(f"Another transaction holds a lock for too long: {_first_line(error)}") from error
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
def query_errors_translated() -> Iterator[None]:
    """Translates why Postgres refused or ended a query. Other database errors pass.

    - A refusal (no such column, no disk space for sorting) becomes QueryFailed. Its subclasses RightsMissing,
      ValueRefused and ResourcesLacking say more.
    - A cancel becomes QueryCancelled, a conflict with another transaction DatabaseConflict.
    - Rows that would be hidden become ContactsIncomplete.
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
        message = " ".join(str(error.diag.message_primary).split())
        text = f"The database refuses the query: {message}{place_of_missing_name(error)}"
        if error.pgcode[:2] in VALUE_CLASSES:
            raise ValueRefused(text, _condition(error.pgcode)) from error
        if error.pgcode[:2] in LOCAL_CLASSES:
            raise ResourcesLacking(text, _condition(error.pgcode)) from error
        raise QueryFailed(text) from error


def require_all_rows(error: psycopg2.Error) -> None:
    """Raises ContactsIncomplete if Postgres refused a query because policies would hide rows from it."""
    if error.diag.source_function == ROW_SECURITY_CHECK:
        raise ContactsIncomplete(
            f"Rows would be missing: {_first_line(error)}; give the role that reads the table (of a view, the view's "
            "owner) all rows: ALTER ROLE … BYPASSRLS"
        ) from error


def place_of_missing_name(error: psycopg2.Error) -> str:
    """The function in which a name was not found, in brackets, with the remedy. Empty if none.

    A function of an adopter may need another search path than ours.
    """
    if error.pgcode not in NAME_MISSING or not (place := FUNCTION.search(error.diag.context or "")):
        return ""
    return f" ({place[0]}: give it a search_path of its own, see docs/own-table.md)"


def require_no_conflict(error: psycopg2.Error) -> None:
    """Raises DatabaseConflict for a serialization failure, a deadlock, or a conflict with a standby's replay."""
    if (error.pgcode or "")[:2] == CONFLICT_CLASS:
        raise DatabaseConflict(
            f"The database broke off a transaction in conflict with another: {_first_line(error)}"
        ) from error


def connection_is_lost(error: psycopg2.Error) -> bool:
    """True if Postgres ended the connection, or cannot be reached.

    What libpq itself notices has no code. During COPY it even has only the base class DatabaseError.
    """
    if type(error) is psycopg2.DatabaseError:
        return error.pgcode is None
    if error.pgcode in ENDS_SESSION:
        return True
    return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) and not error_is_local(error)


def error_is_local(error: psycopg2.Error) -> bool:
    """True for errors of one statement (a timeout, a cancel, a full disk), False for those of the connection."""
    code = getattr(error, "pgcode", None) or ""
    return code[:2] in LOCAL_CLASSES and code not in ENDS_SESSION


def condition_name(error: psycopg2.Error) -> str:
    """Such as "disk full". The bare code if it has no name here."""
    return _condition(error.pgcode or "").partition(" (")[0]


def _condition(code: str) -> str:
    """Such as "invalid text representation (22P02)"."""
    try:
        name = conditions.lookup(code).__name__
    except KeyError:  # the code of a later Postgres, or of an adopter's function
        return code
    return f"{re.sub('(?<!^)(?=[A-Z])', ' ', name).lower()} ({code})"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "connection lost"
