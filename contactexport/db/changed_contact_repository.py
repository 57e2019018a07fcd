"""The contacts that changed, or were created: how many they are, where to cut them into ranges, and the stream of their
rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from psycopg2 import sql
from psycopg2.extensions import cursor as tuple_cursor

from contactexport.db.connection import Connection
from contactexport.db.contact_table import PLAIN_TABLE, ContactTable
from contactexport.db.queries import queries, template
from contactexport.models import ContactField, ExportSettings

SINGLE_CHOICE = frozenset({"singlechoice"})
MULTIPLE_CHOICE = frozenset({"multichoice", "interests"})
BATCH_ROWS = 2000
SMALLEST_ID, LARGEST_ID = -(2**63), 2**63 - 1
# Sorting the ids of all changes costs a tenth of an export, those of one contact in 64 next to nothing.
SAMPLED_ONE_OF = 64
# Below, an export takes less than half a second, of which more readers would save little; and they are counted one by
# one, since the sample would be too small.
CONTACTS_WORTH_A_RANGE = 50_000
# When one in so many contacts has changed, or fewer, they are fetched by a list of their ids, not by walking past all
# others: all contacts, and those among the ids of most that have changed, which may be new ones side by side. Postgres
# keeps the list in memory, so it must not grow with the export.
SMALL_PART_ONE_OF = 8
LONGEST_ID_LIST = 1_000_000
MOST = (0.05, 0.95)
# Of what each other reader gets: the first one's rows are hashed on the way, those of others are appended while they
# still read.
FIRST_SHARE = 0.9


@dataclass(frozen=True)
class Selection:
    """The rows of a file: contacts that changed in [settings.start, until) with these fields, times in `time_zone`; for
    registrations those that were created then.

    `small_part` when they are few of all contacts; `table` is what they are read from.
    """

    settings: ExportSettings
    fields: Sequence[ContactField]
    until: datetime
    time_zone: str
    small_part: bool = False
    table: ContactTable = PLAIN_TABLE


@dataclass(frozen=True)
class IdRange:
    """Ids of contacts from the first to the last, both included."""

    first: int = SMALLEST_ID
    last: int = LARGEST_ID


@dataclass(frozen=True)
class Extent:
    """How many contacts changed, of many an estimate within a few percent; ranges with about as many of them; and
    whether they are a small part of all contacts.
    """

    contacts: int
    ranges: tuple[IdRange, ...]
    small_part: bool


def prepare_measuring(conn: Connection) -> None:
    """Chooses, for the transaction that runs, how changes are counted: by as many processes as Postgres likes."""
    queries("changed_contact").prepare_measuring(conn)


def measure(conn: Connection, settings: ExportSettings, until: datetime, most_ranges: int) -> Extent:
    """The extent of what changed in [settings.start, until), cut into so many ranges if it is worth it."""
    cuts = [(FIRST_SHARE + number) / (FIRST_SHARE + most_ranges - 1) for number in range(most_ranges - 1)]
    sample = _one_row(conn, "sample_changed", settings, until, one_of=SAMPLED_ONE_OF, cuts=[*cuts, *MOST])
    *last_ids, low, high = sample["cuts"] or (SMALLEST_ID, LARGEST_ID)
    one_of = SAMPLED_ONE_OF
    contacts, ranges = sample["contacts"] * one_of, tuple(_ranges(last_ids))
    if contacts < CONTACTS_WORTH_A_RANGE:
        one_of = 1
        contacts, ranges = _one_row(conn, "count_changed", settings, until)["contacts"], (IdRange(),)
    small_part = _is_small_part(conn, contacts, high - low)
    if settings.type == "registrations" and settings.origin != "all":
        contacts = _one_row(conn, "count_registered", settings, until, one_of=one_of)["contacts"] * one_of
    return Extent(contacts, ranges, small_part)


def copy(conn: Connection, selection: Selection, ids: IdRange, to: BinaryIO) -> int:
    """Streams one CSV line a contact of the range that changed and belongs to the origin; returns the rows.

    Columns: id, the fields, time of the latest change in the window; ordered by id.
    """
    statement = template("changed_contact", "copy_changed").format(
        rows=_rows(selection), delimiter=sql.Literal(selection.settings.delimiter)
    )
    prepare_reading(conn, selection)
    with conn.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(statement, _parameters(selection, ids)), to)
        return int(cursor.rowcount)


def prepare_reading(conn: Connection, selection: Selection) -> None:
    """Chooses, for the transaction that runs, how rows are read: by this session alone, fetched in their order."""
    queries("changed_contact").prepare_reading(conn, small_part=selection.small_part, time_zone=selection.time_zone)


def rows_query(selection: Selection) -> tuple[sql.Composable, dict[str, Any]]:
    """The query of the rows of all ids, and its parameters."""
    return _rows(selection), _parameters(selection, IdRange())


def read(conn: Connection, selection: Selection) -> Iterator[tuple[str | int | None, ...]]:
    """The rows of all ids as values, fetched in batches through a server-side cursor."""
    prepare_reading(conn, selection)
    with conn.cursor("changed_rows", cursor_factory=tuple_cursor) as cursor:
        cursor.itersize = BATCH_ROWS
        cursor.execute(*rows_query(selection))
        yield from cursor


def _is_small_part(conn: Connection, contacts: int, between: int) -> bool:
    if contacts > LONGEST_ID_LIST or contacts * SMALL_PART_ONE_OF > between:
        return False
    return bool(queries("changed_contact").is_small_part(conn, contacts=contacts, one_of=SMALL_PART_ONE_OF))


def _one_row(conn: Connection, query: str, settings: ExportSettings, until: datetime, **values: Any) -> Any:
    with conn.cursor() as cursor:
        statement = template("changed_contact", query).format(window=window(settings), belongs=belongs(settings))
        cursor.execute(statement, window_parameters(settings, until) | values)
        return cursor.fetchone()


def _ranges(cuts: Sequence[int]) -> Iterator[IdRange]:
    """Each cut is the last id of a range."""
    first = SMALLEST_ID
    for last in sorted({*cuts, LARGEST_ID}):
        yield IdRange(first, last)
        first = last + 1


def _rows(selection: Selection) -> sql.Composable:
    choices = [field for field in selection.fields if field.application_type in SINGLE_CHOICE | MULTIPLE_CHOICE]
    fetched = "fetched_by_ids" if selection.small_part else "fetched_in_range"
    return template("changed_contact", "changed_rows").format(
        labels=_labels(choices),
        columns=sql.SQL(", ").join(_columns(selection)),
        window=window(selection.settings),
        belongs=belongs(selection.settings),
        fetched=template("changed_contact", fetched),
    )


def window(settings: ExportSettings) -> sql.SQL:
    """The condition by which changes of the log belong to an export; its values are `window_parameters`."""
    if settings.type == "registrations":
        return template("changed_contact", "window_of_creations")
    return template("changed_contact", "window_of_anything" if settings.origin == "all" else "window_of_origin")


def belongs(settings: ExportSettings) -> sql.SQL:
    """The condition by which contacts do, as they are now."""
    return template("changed_contact", "belongs_to_anything" if settings.origin == "all" else "belongs_to_origin")


def _parameters(selection: Selection, ids: IdRange) -> dict[str, Any]:
    return window_parameters(selection.settings, selection.until) | {
        "language": selection.settings.language,
        "first_id": ids.first,
        "last_id": ids.last,
    }


def window_parameters(settings: ExportSettings, until: datetime) -> dict[str, Any]:
    """The values of the two conditions."""
    return {
        "origin": settings.origin,
        "origin_ids": list(settings.origin_ids),
        "start": settings.start,
        "until": until,
    }


def _labels(choices: Sequence[ContactField]) -> sql.Composable:
    return sql.Composed([_part("choice_labels", field) + sql.SQL(",") for field in choices])


def _columns(selection: Selection) -> Iterator[sql.Composable]:
    yield template("changed_contact", "id_column" if selection.table.ids_are_unique else "id_column_checked")
    for field in selection.fields:
        yield _column(field, selection.table)
    yield template("changed_contact", "moment_column").format(value=template("changed_contact", "last_update_column"))


def _column(field: ContactField, table: ContactTable) -> sql.Composable:
    if field.application_type in SINGLE_CHOICE:
        return _part("single_choice_column", field)
    if field.application_type in MULTIPLE_CHOICE:
        return _part("multiple_choice_column", field)
    return _part("moment_column" if field.column_name in table.moments else "plain_column", field)


def _part(query: str, field: ContactField) -> sql.Composable:
    column = sql.Identifier(field.column_name.replace("%", "%%"))  # read as a format with parameters
    return template("changed_contact", query).format(
        column=column,
        value=sql.SQL("c.{}").format(column),
        labels=sql.Identifier(f"labels_of_{field.id}"),
        field_id=sql.Literal(field.id),
    )
