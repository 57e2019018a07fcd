"""The contacts that changed or were created: their number, the ranges to read them in, and their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from psycopg2 import sql
from psycopg2.extensions import cursor as tuple_cursor

from contactexport.catalogue import ContactField
from contactexport.contacts.ids import IdRange
from contactexport.contacts.table import PLAIN_TABLE, ContactTable
from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template
from contactexport.exports.models import ExportSettings

SINGLE_CHOICE = frozenset({"singlechoice"})
MULTIPLE_CHOICE = frozenset({"multichoice", "interests"})
BATCH_ROWS = 2000
# Sorting the ids of all changes costs a tenth of an export. Sorting those of one contact in 64 costs next to nothing.
SAMPLED_ONE_OF = 64
# With fewer contacts an export takes less than half a second, and more readers would save little. They are counted
# exactly, because the sample would be too small.
CONTACTS_WORTH_A_RANGE = 50_000
# If at most one in so many contacts has changed, the query fetches them by a list of ids and does not walk past the
# others. The share must be that small among all contacts, and also within the id range of the bulk of the changes: new
# contacts stand side by side there. Postgres holds the list in memory, so its length has a limit.
SMALL_PART_ONE_OF = 8
LONGEST_ID_LIST = 1_000_000
BULK_OF_CHANGES = (0.05, 0.95)
# The first reader's share, if that of each other is 1. Its rows are hashed on the way. Those of the others are appended
# while later ones still read.
FIRST_SHARE = 0.9


@dataclass(frozen=True)
class Selection:
    """The rows of a file: contacts that changed in [settings.start, until), for registrations those created then.

    Times are written in `time_zone`. `small_part`: they are few of all contacts. `table`: what they are read from.
    """

    settings: ExportSettings
    fields: Sequence[ContactField]
    until: datetime
    time_zone: str
    small_part: bool = False
    table: ContactTable = PLAIN_TABLE


@dataclass(frozen=True)
class Extent:
    """How many contacts changed, and ranges that hold about equally many of them.

    A large number is an estimate within a few percent. `small_part`: they are few of all contacts.
    """

    contacts: int
    ranges: tuple[IdRange, ...]
    small_part: bool


def measure(
    conn: Connection, settings: ExportSettings, until: datetime, most_ranges: int, table: ContactTable = PLAIN_TABLE
) -> Extent:
    """Measures what changed in [settings.start, until). Cuts it into `most_ranges` ranges, if that is worth it."""

    def one_row(query: str, **values: Any) -> Any:
        with conn.cursor() as cursor:
            statement = formatted("changed_contact", query, settings, table)
            cursor.execute(statement, window_parameters(settings, until) | values)
            return cursor.fetchone()

    counted = "all" if settings.type == "full" else "changed"
    cuts = [(FIRST_SHARE + number) / (FIRST_SHARE + most_ranges - 1) for number in range(most_ranges - 1)]
    sample = one_row(f"sample_{counted}", one_of=SAMPLED_ONE_OF, cuts=[*cuts, *BULK_OF_CHANGES])
    smallest, largest = table.id_type.smallest, table.id_type.largest
    *last_ids, low, high = map(table.id_type.read, sample["cuts"] or (smallest, largest))
    one_of = SAMPLED_ONE_OF
    contacts = sample["contacts"] * one_of
    lasts = sorted({*last_ids, largest})
    firsts = [smallest, *(table.id_type.after(last) for last in lasts[:-1])]
    ranges = tuple(map(IdRange, firsts, lasts))
    if contacts < CONTACTS_WORTH_A_RANGE:
        one_of = 1
        contacts, ranges = one_row(f"count_{counted}")["contacts"], (IdRange(smallest, largest),)
    id_span = high - low if isinstance(low, int) and isinstance(high, int) else None
    small_part = counted == "changed" and is_small_part(conn, contacts, id_span)
    if settings.type == "registrations" and settings.origin != "all":
        contacts = one_row("count_registered", one_of=one_of)["contacts"] * one_of
    if settings.adds_removed:
        contacts += int(one_row("count_removed")["contacts"])
    return Extent(contacts, ranges, small_part)


def count_removed(conn: Connection, selection: Selection) -> int:
    """How many rows are about contacts that were deleted or have left the origins."""
    with conn.cursor() as cursor:
        statement = formatted("changed_contact", "count_removed_rows", selection.settings, selection.table)
        cursor.execute(statement, window_parameters(selection.settings, selection.until))
        return int(cursor.fetchone()["contacts"])


def is_small_part(conn: Connection, contacts: int, id_span: int | None) -> bool:
    """True if a list of ids fetches so many contacts faster.

    `id_span`: how far apart most of their ids lie. None: ids are random, so new ones are no neighbours.
    """
    if contacts > LONGEST_ID_LIST or (id_span is not None and contacts * SMALL_PART_ONE_OF > id_span):
        return False
    return bool(queries("changed_contact").is_small_part(conn, contacts=contacts, one_of=SMALL_PART_ONE_OF))


def copy(conn: Connection, selection: Selection, ids: IdRange, to: BinaryIO) -> int:
    """Streams one CSV line for each contact of the range that changed and belongs to the origin. Returns their number.

    Columns: id, the fields, time of the latest change in the window, and those that the settings add. Ordered by id.
    """
    rows, values = rows_query(selection, ids)
    statement = template("changed_contact", "copy_changed").format(
        rows=rows, delimiter=sql.Literal(selection.settings.delimiter)
    )
    queries("changed_contact").prepare_reading(conn, small_part=selection.small_part, time_zone=selection.time_zone)
    with conn.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(statement, values), to)
        return int(cursor.rowcount)


def rows_query(selection: Selection, ids: IdRange | None = None) -> tuple[sql.Composable, dict[str, Any]]:
    """The query of the rows of these ids (None: all of them), and its parameters."""
    settings, table = selection.settings, selection.table
    ids = ids or table.all_ids
    labels: list[sql.Composable] = []
    contact_id = sql.SQL("logged.contact_id" if settings.adds_removed else "c.id")
    id_column = "id_column" if table.ids_are_unique else "id_column_checked"
    columns: list[sql.Composable] = [formatted("changed_contact", id_column, settings, table, id=contact_id)]
    for field in selection.fields:
        if field.application_type in SINGLE_CHOICE | MULTIPLE_CHOICE:
            labels.append(_part("choice_labels", field) + sql.SQL(","))
        if field.application_type in SINGLE_CHOICE:
            query = "single_choice_column"
        elif field.application_type in MULTIPLE_CHOICE:
            query = "multiple_choice_column"
        else:
            query = "moment_column" if field.column_name in table.moments else "plain_column"
        columns.append(_part(query, field))
    last_update = "last_update_or_removal_column" if settings.adds_removed else "last_update_column"
    moment_column = template("changed_contact", "moment_column")
    columns.append(moment_column.format(value=template("changed_contact", last_update)))
    if settings.origin_column:
        columns.append(_origin_column(settings, table))
    if settings.removed:
        columns.append(template("changed_contact", "change_column" if settings.adds_removed else "changed_column"))
    query = "all_rows" if settings.type == "full" else "rows_with_removed" if settings.removed else "changed_rows"
    fetched = "fetched_by_ids" if selection.small_part else "fetched_in_range"
    rows = formatted(
        "changed_contact",
        query,
        settings,
        table,
        labels=sql.Composed(labels),
        columns=sql.SQL(", ").join(columns),
        fetched=formatted("changed_contact", fetched, settings, table),
    )
    return rows, window_parameters(settings, selection.until) | {
        "language": settings.language,
        "first_id": ids.first,
        "last_id": ids.last,
    }


def read(conn: Connection, selection: Selection) -> Iterator[tuple[str | int | None, ...]]:
    """The rows of all ids, as values. A server-side cursor fetches them in batches."""
    queries("changed_contact").prepare_reading(conn, small_part=selection.small_part, time_zone=selection.time_zone)
    with conn.cursor("changed_rows", cursor_factory=tuple_cursor) as cursor:
        cursor.itersize = BATCH_ROWS
        cursor.execute(*rows_query(selection))
        yield from cursor


def formatted(
    file_name: str, query: str, settings: ExportSettings, table: ContactTable, **parts: sql.Composable
) -> sql.Composed:
    """A query with every part that depends on the settings or the table. Its values are `window_parameters`.

    `{window}` tells which changes of the log belong to the export, and `{belongs}` which contacts as they are now.
    """
    if settings.origin == "all":
        window, belongs = "window_of_anything", "belongs_to_anything"
    else:
        window = "window_of_origin_or_any" if table.logs_any else "window_of_origin"
        belongs = "belongs_by_membership" if table.has_memberships else "belongs_to_origin"
    if settings.type == "registrations":
        window = "window_of_creations"
    return template(file_name, query).format(
        window=template("changed_contact", window),
        belongs=template("changed_contact", belongs),
        id_type=sql.SQL(table.id_type.name),
        hash=sql.SQL(table.id_type.hash_function),
        **parts,
    )


def _origin_column(settings: ExportSettings, table: ContactTable) -> sql.Composable:
    origin: sql.Composable = template("changed_contact", "origin_column")
    if table.has_memberships:
        asked_for = "belongs_to_anything" if settings.origin == "all" else "membership_asked_for"
        origin = template("changed_contact", "origins_column").format(asked_for=template("changed_contact", asked_for))
    if settings.adds_removed:
        return template("changed_contact", "origin_or_left_column").format(origin=origin)
    return origin


def window_parameters(settings: ExportSettings, until: datetime) -> dict[str, Any]:
    """The values of `{window}` and `{belongs}` in a query."""
    return {
        "origin": settings.origin,
        "origin_ids": list(settings.origin_ids),
        "start": settings.start,
        "until": until,
    }


def _part(query: str, field: ContactField) -> sql.Composable:
    column = sql.Identifier(field.column_name.replace("%", "%%"))  # psycopg2 reads the query as a format string
    return template("changed_contact", query).format(
        column=column,
        value=sql.SQL("c.{}").format(column),
        labels=sql.Identifier(f"labels_of_{field.id}"),
        field_id=sql.Literal(field.id),
    )
