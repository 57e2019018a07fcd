"""The change log: its clock and its months."""

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
    """A month of the log. `name` is that of its table."""

    name: str
    ends: datetime


def clock(conn: Connection) -> datetime:
    """The database's current time, UTC."""
    now: datetime = queries("change").clock(conn)
    return now


def prepare_months(conn: Connection) -> bool:
    """Creates the partitions of the change log for the coming year, unless the database is a read replica.

    Returns False when the log is in use, and leaves the transaction broken. It does not wait long for the lock, because
    all writers would queue behind it. There is a year's time to try again.
    """
    try:
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=f"{MONTHS_WAIT_MILLISECONDS}ms")
        queries("change").prepare_months(conn)
    except (LockNotAvailable, DuplicateTable, UniqueViolation):
        return False
    return True


def months_before(conn: Connection, before: datetime) -> list[LogMonth]:
    """The months of the change log that ended by `before`, oldest first."""
    return [LogMonth(**row) for row in queries("change").log_months(conn, before=before)]


def count_before(conn: Connection, before: datetime) -> dict[str, int]:
    """Changes before a date, counted by the table they are in. Tables without any are left out."""
    return {row["name"]: row["changes"] for row in queries("change").changes_before(conn, before=before)}


def drop_month(conn: Connection, month: LogMonth) -> bool:
    """Drops the table of a month. If it had changes, notes that the log is complete only from the end of the month on.

    Returns False when the log is in use, and leaves the transaction broken. Writers of contacts would queue behind a
    longer wait.
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
    """Deletes the changes before a date that are in no month's table, and returns how many.

    If there were any, notes that the log is complete only from that date on.
    """
    deleted = int(queries("change").delete_unpartitioned(conn, before=before))
    if deleted:
        queries("change").raise_horizon(conn, complete_from=before)
    return deleted


def count_removals_before(conn: Connection, before: datetime) -> int:
    """Removals of contacts before a date."""
    return int(queries("change").count_removals_before(conn, before=before))


def delete_removals_before(conn: Connection, before: datetime) -> int:
    """Deletes the removals before a date, and returns the number of rows.

    If there were any, notes that removals are known only from that date on.
    """
    deleted = int(queries("change").delete_removals(conn, before=before))
    if deleted:
        queries("change").raise_removals_horizon(conn, removals_from=before)
    return deleted
