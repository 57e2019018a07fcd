"""Looks for the contact by which an export fails: one without an id, with the id of another, or with a bad value."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2 import sql

from contactexport.db import changed_contact_repository
from contactexport.db.changed_contact_repository import IdRange, Selection
from contactexport.db.connection import Connection
from contactexport.db.connection_errors import refusals_told
from contactexport.db.queries import queries, template
from contactexport.errors import ValueRefused


def has_contact_without_id(conn: Connection, selection: Selection) -> bool:
    """True when a contact of the export's origin has no id."""
    with conn.cursor() as cursor:
        cursor.execute(_query("has_contact_without_id", selection), _parameters(selection))
        return bool(cursor.fetchone()["found"])


def repeated_id(conn: Connection, selection: Selection, seconds: float) -> int | None:
    """The first id that several changed contacts have. Raises QueryFailed, as when it takes longer."""
    with _search(conn, seconds), conn.cursor() as cursor:
        cursor.execute(_query("repeated_id", selection), _parameters(selection))
        row = cursor.fetchone()
        return None if row is None else int(row["id"])


def bounds(conn: Connection, selection: Selection, ids: IdRange, seconds: float) -> tuple[int, int, int] | None:
    """The first, the middle and the last id of the range that has changed; None when none has.

    Raises QueryFailed, as when it takes longer.
    """
    with _search(conn, seconds), conn.cursor() as cursor:
        values = _parameters(selection) | {"first_id": ids.first, "last_id": ids.last}
        cursor.execute(_query("bounds_of_changed", selection), values)
        found = cursor.fetchone()
        return None if found["first"] is None else (found["first"], found["middle"], found["last"])


def has_bad_value(conn: Connection, selection: Selection, ids: IdRange, seconds: float) -> bool:
    """True when a value of the range cannot be read.

    Raises QueryFailed when it takes longer, or is refused for another reason.
    """
    try:
        with _search(conn, seconds), open(os.devnull, "wb") as nowhere:
            changed_contact_repository.copy(conn, selection, ids, nowhere)
    except ValueRefused:
        return True
    return False


@contextmanager
def _search(conn: Connection, seconds: float) -> Iterator[None]:
    """In a transaction of its own, since the failure of another one has ended it."""
    conn.rollback()
    with refusals_told():
        queries("server").limit_statements(conn, milliseconds=str(max(1, int(seconds * 1000))))
        yield


def _query(name: str, selection: Selection) -> sql.Composable:
    return template("unfit_contact", name).format(
        window=changed_contact_repository.window(selection.settings),
        belongs=changed_contact_repository.belongs(selection.settings),
    )


def _parameters(selection: Selection) -> dict[str, object]:
    return changed_contact_repository.window_parameters(selection.settings, selection.until)
