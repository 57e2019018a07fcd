"""The log of changes: its clock, who is writing it, its months."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.errors import DuplicateTable, LockNotAvailable, UniqueViolation

from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template

MONTHS_WAIT_MILLISECONDS = 100
OUTSIDE_MONTHS = "contact_change_other"


@dataclass(frozen=True)
class LogMonth:
    """A month of the log, by the name of its table."""

    name: str
    ends: datetime


@dataclass(frozen=True)
class WriterDetails:
    """A transaction that changes contacts: that of a session (`pid`), or a prepared one (`gid`).

    `idle` when its session waits for its program.
    """

    writer: str
    pid: int | None
    user_name: str | None
    application: str | None
    idle: bool
    gid: str | None
    prepared: datetime | None


def clock(conn: Connection) -> datetime:
    """The database's time, UTC."""
    now: datetime = queries("change").clock(conn)
    return now


def window_end(conn: Connection, wanted: datetime) -> datetime:
    """The end of a window that is read now: `wanted`, or the database's time when that is earlier.

    Changes that are made after this call get no earlier time, even if the clock is set back by less than a day.
    """
    until: datetime = queries("change").window_end(conn, wanted=wanted)
    return until


def writers_now(conn: Connection) -> dict[str, datetime | None]:
    """The transactions that are changing contacts now, with their start (None: not to be seen, maybe long ago)."""
    return {row["writer"]: row["started"] for row in queries("change").writers_now(conn)}


def describe_writers(conn: Connection, writers: Iterable[str]) -> dict[str, WriterDetails]:
    """What is to be seen of transactions that `writers_now` has told of; those that have ended are left out."""
    rows = queries("change").describe_writers(conn, writers=list(writers))
    return {row["writer"]: WriterDetails(**{**row, "idle": bool(row["idle"])}) for row in rows}


def hold_tables(conn: Connection) -> None:
    """Waits for those who rewrite a table that is to be read, and lets nobody do so until the transaction ends.

    To be called before the first query of a snapshot: Postgres does not keep the old rows of a rewritten or truncated
    table for it (PostgreSQL manual, Concurrency Control, Caveats).
    """
    queries("change").hold_tables(conn)


def prepare_months(conn: Connection) -> bool:
    """Makes the partitions of the change log for the coming year, unless the database is a read replica.

    Returns False (and a broken transaction) when the log is in use: a lock that is waited for would hold up everybody
    behind it, and there is a year's time.
    """
    try:
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=f"{MONTHS_WAIT_MILLISECONDS}ms")
        queries("change").prepare_months(conn)
    except (LockNotAvailable, DuplicateTable, UniqueViolation):
        return False
    return True


def months_before(conn: Connection, before: datetime) -> list[LogMonth]:
    """The months of the change log that ended before, oldest first."""
    return [LogMonth(**row) for row in queries("change").log_months(conn, before=before)]


def count_before(conn: Connection, before: datetime) -> dict[str, int]:
    """How many changes before a date each part of the log has, by the name of its table; empty ones are left out."""
    return {row["name"]: row["changes"] for row in queries("change").changes_before(conn, before=before)}


def drop_month(conn: Connection, month: LogMonth) -> bool:
    """Drops a month of the change log, at once and whole. If it had changes, the log is complete from its end on.

    Returns False (and a broken transaction) when the log is in use: writers of contacts would wait behind us.
    """
    try:
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=f"{MONTHS_WAIT_MILLISECONDS}ms")
        with conn.cursor() as cursor:
            cursor.execute(_of_month("lock_month", month))
            cursor.execute(_of_month("has_changes", month))
            if cursor.fetchone()["found"]:
                queries("change").raise_horizon(conn, complete_from=month.ends)
            cursor.execute(_of_month("drop_month", month))
    except LockNotAvailable:
        return False
    return True


def _of_month(query: str, month: LogMonth) -> sql.Composed:
    return template("change", query).format(month=sql.Identifier(month.name))


def delete_before(conn: Connection, before: datetime) -> int:
    """Deletes the changes before that lie in no month; returns how many. If any, the log is complete from then on."""
    deleted = int(queries("change").delete_unpartitioned(conn, before=before))
    if deleted:
        queries("change").raise_horizon(conn, complete_from=before)
    return deleted
