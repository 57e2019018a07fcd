"""Reads contacts as they are now, by page or by id. Values are texts, as stored.

A slow query is cancelled, because it holds a thread of the server and a connection.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg2 import sql
from psycopg2.errors import QueryCanceled

from contactexport.catalogue import ContactField
from contactexport.contacts.ids import ContactId, IdType
from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template
from contactexport.errors import DatabaseUnavailable

MAX_MILLISECONDS = 10_000


def query(
    conn: Connection, wanted: ContactField, criterion: tuple[ContactField, str] | None, *, limit: int, offset: int
) -> list[tuple[str, str | None]]:
    """A page of contacts in the order of their ids: the id of each, and its value of the `wanted` field.

    `criterion`: only contacts with this value in this field. Raises DatabaseUnavailable after MAX_MILLISECONDS.
    """
    condition: sql.Composable = template("contact_data", "every_contact")
    if criterion:
        condition = template("contact_data", "contacts_with_value").format(column=_value(criterion[0]))
    statement = template("contact_data", "query_contacts").format(column=_value(wanted), condition=condition)
    value = criterion[1] if criterion else None
    with _limited(conn) as cursor:
        cursor.execute(statement, {"limit": limit, "offset": offset, "value": value})
        return [(row["id"], row["value"]) for row in cursor.fetchall()]


def by_ids(
    conn: Connection, id_type: IdType, ids: Sequence[ContactId], fields: Sequence[ContactField]
) -> list[dict[str, Any]]:
    """The contacts with these ids that exist, in the order of their ids.

    Each has `id`, and its values by the id of the field. Raises DatabaseUnavailable after MAX_MILLISECONDS.
    """
    columns = sql.SQL(", ").join(_value(field) + sql.SQL(" AS ") + sql.Identifier(str(field.id)) for field in fields)
    with _limited(conn) as cursor:
        statement = template("contact_data", "contacts_by_id").format(columns=columns, id_type=sql.SQL(id_type.name))
        cursor.execute(statement, {"ids": list(ids)})
        return [dict(row) for row in cursor.fetchall()]


@contextmanager
def _limited(conn: Connection) -> Iterator[Any]:
    queries("server").limit_statements(conn, milliseconds=str(MAX_MILLISECONDS))
    try:
        with conn.cursor() as cursor:
            yield cursor
    except QueryCanceled:
        raise DatabaseUnavailable(f"Reading contacts took longer than {MAX_MILLISECONDS} ms") from None


def _value(field: ContactField) -> sql.Composable:
    column = sql.Identifier(field.column_name.replace("%", "%%"))  # psycopg2 reads the query as a format string
    return template("contact_data", "stored_value").format(column=column)
