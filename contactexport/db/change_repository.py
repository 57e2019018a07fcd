"""The log of changes: its clock, who is writing it, its months."""

from datetime import datetime

from psycopg2 import sql
from psycopg2.errors import DuplicateTable, LockNotAvailable, UniqueViolation

from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template

MONTHS_WAIT_MILLISECONDS = 100


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


def months_before(conn: Connection, before: datetime) -> list[str]:
    """The months of the change log, by the names of their tables, that ended before, oldest first."""
    return [row["name"] for row in queries("change").log_partitions(conn, before=before)]


def drop_month(conn: Connection, month: str) -> bool:
    """Drops a month of the change log, at once and whole.

    Returns False (and a broken transaction) when the log is in use: writers of contacts would wait behind us.
    """
    try:
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=f"{MONTHS_WAIT_MILLISECONDS}ms")
        with conn.cursor() as cursor:
            cursor.execute(template("change", "drop_partition").format(partition=sql.Identifier(month)))
    except LockNotAvailable:
        return False
    return True


def delete_before(conn: Connection, before: datetime) -> int:
    """Deletes the changes before that lie in no month; returns how many."""
    return int(queries("change").delete_unpartitioned(conn, before=before))
