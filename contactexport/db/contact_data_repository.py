"""Reads contacts as they are now, page by page or by their ids; values are texts as stored.

A query that takes too long is broken off: whoever asks holds a thread of the server and a connection meanwhile.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg2 import sql
from psycopg2.errors import QueryCanceled

from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template
from contactexport.errors import DatabaseUnavailable
from contactexport.models import ContactField

MOST_MILLISECONDS = 10_000


def query(
    conn: Connection, wanted: ContactField, criterion: tuple[ContactField, str] | None, *, limit: int, offset: int
) -> list[tuple[str, str | None]]:
    """Id and value of a page of contacts, by id: all of them, or those with this value in this field.

    Raises DatabaseUnavailable when it takes too long.
    """
    condition: sql.Composable = template("contact_data", "every_contact")
    if criterion:
        condition = template("contact_data", "contacts_with_value").format(column=_value(criterion[0]))
    statement = template("contact_data", "query_contacts").format(column=_value(wanted), condition=condition)
    value = criterion[1] if criterion else None
    with _limited(conn) as cursor:
        cursor.execute(statement, {"limit": limit, "offset": offset, "value": value})
        return [(row["id"], row["value"]) for row in cursor.fetchall()]


def by_ids(conn: Connection, ids: Sequence[int], fields: Sequence[ContactField]) -> list[dict[str, Any]]:
    """`id` and the values of these fields, by the field's id, of the contacts that exist, by id.

    Raises DatabaseUnavailable when it takes too long.
    """
    columns = sql.SQL(", ").join(_value(field) + sql.SQL(" AS ") + sql.Identifier(str(field.id)) for field in fields)
    with _limited(conn) as cursor:
        cursor.execute(template("contact_data", "contacts_by_id").format(columns=columns), {"ids": list(ids)})
        return [dict(row) for row in cursor.fetchall()]


@contextmanager
def _limited(conn: Connection) -> Iterator[Any]:
    queries("server").limit_statements(conn, milliseconds=str(MOST_MILLISECONDS))
    try:
        with conn.cursor() as cursor:
            yield cursor
    except QueryCanceled:
        raise DatabaseUnavailable(f"Reading contacts took longer than {MOST_MILLISECONDS} ms") from None


def _value(field: ContactField) -> sql.Composable:
    column = sql.Identifier(field.column_name.replace("%", "%%"))  # read as a format with parameters
    return template("contact_data", "stored_value").format(column=column)
