"""Names contacts with values that cannot be read, so that their owner can repair them.

One makes the export fail. In an adopted table it may leave a cell empty.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg2
from psycopg2 import sql

from contactexport.catalogue import ContactField
from contactexport.changes import selection as changed_contacts
from contactexport.changes.selection import Selection
from contactexport.contacts.ids import ContactId, IdRange
from contactexport.db.connection import Connection
from contactexport.db.errors import query_errors_translated
from contactexport.db.queries import queries
from contactexport.errors import ExportFailed, QueryFailed, ValueRefused

SEARCH_SECONDS = 60
COUNT_SECONDS = 60

logger = logging.getLogger(__name__)


def has_contact_without_id(conn: Connection, selection: Selection) -> bool:
    """True if a contact of the export's origin has no id."""
    with conn.cursor() as cursor:
        cursor.execute(_query("has_contact_without_id", selection), _parameters(selection))
        return bool(cursor.fetchone()["found"])


@contextmanager
def named_in_failure(conn: Connection, selection: Selection, require_wanted: Callable[[], None]) -> Iterator[None]:
    """Wraps the block that reads the selection. Raises ExportFailed, which names the contact and the reason.

    The contact has no id, or the id of another contact, or a value that cannot be read. The search runs in this session
    for a minute at most. If it finds nothing, the reason names no contact. `require_wanted` raises if the search was
    cancelled because nobody wants the export any more.
    """
    try:
        with query_errors_translated():
            # A contact without an id would silently be missing. A table with a key cannot have one.
            if not selection.table.ids_are_unique and has_contact_without_id(conn, selection):
                raise ExportFailed("A contact has no id: each row of `contact` needs a whole number of its own in `id`")
            yield
    except ValueRefused as refusal:
        logger.warning("value refused: reason=%s", refusal.text)
        end = time.monotonic() + SEARCH_SECONDS
        try:
            reason = _repeated_id(conn, selection, end) or _bad_value(conn, selection, refusal.condition, end)
            reason = reason or f"{refusal.status_text}; a search found no such value any more"
        except QueryFailed as broken_off:
            logger.warning("search for the value broken off: reason=%s", broken_off.text)
            reason = f"{refusal.status_text}; the contact was not found within {SEARCH_SECONDS} seconds"
        require_wanted()
        raise ExportFailed(reason) from refusal


def unreadable_warnings(conn: Connection, selection: Selection) -> list[str]:
    """One line for each column whose cells are empty because values of an adopted table cannot be computed.

    Never raises, because the file is complete.
    """
    try:
        if not queries("changed_contact").may_be_unreadable(conn):
            return []
        queries("server").limit_statements(conn, milliseconds=str(COUNT_SECONDS * 1000))
        counted = "unreadable_of_contacts" if selection.settings.type == "full" else "unreadable_of_changes"
        statement = changed_contacts.formatted("changed_contact", counted, selection.settings, selection.table)
        with conn.cursor() as cursor:
            cursor.execute(
                statement, _parameters(selection) | {"columns": [field.column_name for field in selection.fields]}
            )
            found = list(cursor.fetchall())
    except psycopg2.Error as error:
        logger.warning("values that cannot be computed were not counted: reason=%s", str(error).strip())
        return []
    return [
        f"{one['contacts']} contacts have an empty cell in {one['column']}: the value cannot be computed, "
        f"such as that of contact {one['example']}"
        for one in found
    ]


def _repeated_id(conn: Connection, selection: Selection, end: float) -> str | None:
    if selection.table.ids_are_unique:
        return None
    try:
        with _search(conn, end), conn.cursor() as cursor:
            cursor.execute(_query("repeated_id", selection), _parameters(selection))
            repeated = cursor.fetchone()
    except ValueRefused:  # by a condition inside a view, so every query of the view fails
        return None
    if repeated is None:
        return None
    return f"Contact {repeated['id']} is there more than once: ids in `contact` must be unique"


def _bad_value(conn: Connection, selection: Selection, condition: str, end: float) -> str | None:
    """Halves the ids until one contact is left, then tries its fields.

    It reads half of the contacts, then a quarter, and so on. Together that is about all of them once.
    """

    def is_bad(ids: IdRange, fields: Sequence[ContactField]) -> bool:
        try:
            with _search(conn, end), open(os.devnull, "wb") as nowhere:
                changed_contacts.copy(conn, replace(selection, fields=fields), ids, nowhere)
        except ValueRefused:
            return True
        return False

    ids = selection.table.all_ids
    while found := _changed_in(conn, selection, ids, end):
        first, middle, last = found
        if first == last:
            break
        half, other = IdRange(first, middle), IdRange(selection.table.id_type.after(middle), last)
        ids = half if is_bad(half, selection.fields) else other
    else:
        return None
    contact = IdRange(first, first)
    if is_bad(contact, ()):
        return f"Contact {first} cannot be read, whichever fields are asked for: {condition}"
    for field in selection.fields:
        if is_bad(contact, (field,)):
            name = " ".join(f'{field.id} ("{field.name}", column "{field.column_name}")'.split())
            return f"Field {name} of contact {first} cannot be read: {condition}"
    return None


def _changed_in(
    conn: Connection, selection: Selection, ids: IdRange, end: float
) -> tuple[ContactId, ContactId, ContactId] | None:
    """The first, the middle and the last changed id of the range. None if nothing changed in it."""
    with _search(conn, end), conn.cursor() as cursor:
        values = _parameters(selection) | {"first_id": ids.first, "last_id": ids.last}
        cursor.execute(_query("bounds_of_changed", selection), values)
        found = cursor.fetchone()
        return None if found["first"] is None else (found["first"], found["middle"], found["last"])


@contextmanager
def _search(conn: Connection, end: float) -> Iterator[None]:
    """Runs the block in a new transaction, because the failed query has broken the last one.

    Raises ValueRefused, and QueryFailed for another refusal or at `end` (time.monotonic).
    """
    seconds = end - time.monotonic()
    conn.rollback()
    with query_errors_translated():
        queries("server").limit_statements(conn, milliseconds=str(max(1, int(seconds * 1000))))
        yield


def _query(name: str, selection: Selection) -> sql.Composable:
    return changed_contacts.formatted("unfit_contact", name, selection.settings, selection.table)


def _parameters(selection: Selection) -> dict[str, object]:
    return changed_contacts.window_parameters(selection.settings, selection.until)
