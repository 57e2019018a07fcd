"""Finds the contacts that changed and streams them: everything an export reads, in SQL."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from psycopg2 import sql
from psycopg2.errors import DuplicateTable, LockNotAvailable, UniqueViolation
from psycopg2.extensions import cursor as tuple_cursor

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.models import ContactField, ExportSettings

SINGLE_CHOICE = frozenset({"singlechoice"})
BATCH_ROWS = 2000
MONTHS_WAIT_MILLISECONDS = 100
MULTIPLE_CHOICE = frozenset({"multichoice", "interests"})


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
            cursor.execute(_template("drop_partition").format(partition=sql.Identifier(month)))
    except LockNotAvailable:
        return False
    return True


def delete_before(conn: Connection, before: datetime) -> int:
    """Deletes the changes before that lie in no month; returns how many."""
    return int(queries("change").delete_unpartitioned(conn, before=before))


def count_changed(conn: Connection, settings: ExportSettings, until: datetime) -> int:
    """How many contacts changed in [settings.start, until)."""
    with conn.cursor() as cursor:
        cursor.execute(_template("count_changed").format(changed=_changed(settings)), _parameters(settings, until))
        return int(cursor.fetchone()["count"])


def copy_changed(
    conn: Connection,
    settings: ExportSettings,
    fields: Sequence[ContactField],
    until: datetime,
    time_zone: str,
    to: BinaryIO,
) -> int:
    """Streams one CSV line a contact that changed in [settings.start, until) and belongs to the origin.

    Columns: id, the fields, time of the latest change in the window (in `time_zone`); ordered by id. Returns the rows.
    """
    statement = _template("copy_changed").format(
        rows=_rows(settings, fields), delimiter=sql.Literal(settings.delimiter)
    )
    with conn.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(statement, _parameters(settings, until, time_zone)), to)
        return int(cursor.rowcount)


def read_changed(
    conn: Connection, settings: ExportSettings, fields: Sequence[ContactField], until: datetime, time_zone: str
) -> Iterator[tuple[str | int | None, ...]]:
    """The same rows as values, fetched in batches through a server-side cursor."""
    with conn.cursor("changed_rows", cursor_factory=tuple_cursor) as cursor:
        cursor.itersize = BATCH_ROWS
        cursor.execute(_rows(settings, fields), _parameters(settings, until, time_zone))
        yield from cursor


def _rows(settings: ExportSettings, fields: Sequence[ContactField]) -> sql.Composable:
    choices = [field for field in fields if field.application_type in SINGLE_CHOICE | MULTIPLE_CHOICE]
    singles = [field for field in choices if field.application_type in SINGLE_CHOICE]
    return _template("changed_rows").format(
        labels=_labels(choices),
        columns=sql.SQL(", ").join(_column(field) for field in fields),
        changed=_changed(settings),
        joins=sql.SQL("\n").join(_part("single_choice_join", field) for field in singles),
        belongs=_template("belongs_to_anything" if settings.origin == "all" else "belongs_to_origin"),
    )


def _template(name: str) -> sql.SQL:
    return sql.SQL(getattr(queries("change"), name).sql.strip().rstrip(";"))


def _changed(settings: ExportSettings) -> sql.SQL:
    return _template("changed_by_anything" if settings.origin == "all" else "changed_by_origin")


def _parameters(settings: ExportSettings, until: datetime, time_zone: str = "UTC") -> dict[str, Any]:
    return {
        "origin": settings.origin,
        "origin_ids": list(settings.origin_ids),
        "start": settings.start,
        "until": until,
        "language": settings.language,
        "time_zone": time_zone,
    }


def _labels(choices: Sequence[ContactField]) -> sql.Composable:
    if not choices:
        return sql.SQL("")
    return sql.SQL("WITH ") + sql.SQL(", ").join(_part("choice_labels", field) for field in choices)


def _column(field: ContactField) -> sql.Composable:
    if field.application_type in SINGLE_CHOICE:
        return _part("single_choice_column", field)
    if field.application_type in MULTIPLE_CHOICE:
        return _part("multiple_choice_column", field)
    return _part("plain_column", field)


def _part(template: str, field: ContactField) -> sql.Composable:
    return _template(template).format(
        column=sql.Identifier(field.column_name.replace("%", "%%")),  # read as a format with parameters
        labels=sql.Identifier(f"labels_of_{field.id}"),
        field_id=sql.Literal(field.id),
    )
