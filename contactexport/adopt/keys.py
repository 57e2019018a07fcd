"""The key of a contact, from what the rows of a table lead to."""

from psycopg2 import sql

from contactexport.adopt.atoms import of_row
from contactexport.adopt.changed_rows import part, way_to_key
from contactexport.adopt.column_types import types_of
from contactexport.adopt.lineage import Path
from contactexport.adopt.view_text import TableName
from contactexport.db.connection import Connection

# Types of which every value is a key.
EXACT = {"bigint": {"smallint", "integer", "bigint"}, "uuid": {"uuid"}}


class Keys:
    """Turns the ends of a table's paths into keys of the type that the log has.

    A value of another type, such as a text or a numeric, may be none: then there is no contact.
    """

    def __init__(self, conn: Connection, schema: str, key_type: str, table: TableName) -> None:
        self._conn = conn
        self._schema = schema
        self._key_type = key_type
        self._table = table
        self._types: dict[str, str | None] = {}

    def of(self, path: Path, key: str) -> sql.Composed:
        """The key where the end of the path is written `key`."""
        joins, end = way_to_key(path, of_row(path.edges[0].start_side if path.edges else path.key, "r"))
        select = part("key_of_path", key=sql.SQL(end), table=self._table.identifier, joins=joins).as_string(self._conn)
        if select not in self._types:
            self._types[select] = types_of(self._conn, self._schema, select).get("key")
        name = "key_of_row" if self._types[select] in EXACT[self._key_type] else "key_of_row_if_it_is_one"
        return part(name, schema=sql.Identifier(self._schema), key=sql.SQL(key), key_type=sql.SQL(self._key_type))
