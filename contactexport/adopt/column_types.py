"""The types of what a SELECT reads and gives, as Postgres tells them."""

import psycopg2
from psycopg2 import sql
from sqlglot import exp

from contactexport.adopt.from_clause import source
from contactexport.adopt.lineage import Lineage
from contactexport.adopt.view_text import TableName, sql_of
from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template


class ColumnTypes:
    """The types of columns of tables and of subqueries in FROM. `schema` is the program's.

    Of a domain it is the type below, since NULL may not be a value of the domain.
    """

    def __init__(self, conn: Connection, schema: str, lineage: Lineage) -> None:
        self._conn = conn
        self._schema = schema
        self._lineage = lineage
        self._types: dict[TableName | int, dict[str, str]] = {}
        for table in {one.table for one in lineage.occurrences}:
            self._types[table] = _of_relation(conn, table)

    def of(self, column: exp.Column) -> str | None:
        """The type of a column. None if it is not known."""
        occurrence = self._lineage.occurrence(column)
        if occurrence is not None:
            return self._types[occurrence.table].get(column.name)
        found = source(column)
        if not isinstance(found, exp.Subquery) or not isinstance(found.this, exp.Query):
            return None
        if id(found) not in self._types:
            # One that looks at the row beside it (LATERAL) is not understood by itself.
            alias = found.args["alias"].copy()
            alone = exp.select("*").from_(exp.Subquery(this=found.this.copy(), alias=alias))
            self._types[id(found)] = types_of(self._conn, self._schema, sql_of(alone))
        return self._types[id(found)].get(column.name)


def types_of(conn: Connection, schema: str, select: str) -> dict[str, str]:
    """The types of the outputs of a SELECT, by name, without running it. Empty if Postgres refuses it."""
    probe = template("adopt", "make_probe").format(schema=sql.Identifier(schema), select=sql.SQL(select))
    with conn.cursor() as cursor:
        cursor.execute("SAVEPOINT contactexport_probe")
        try:
            cursor.execute(probe)
            return _of_relation(conn, TableName(schema, "contactexport_probe"))
        except psycopg2.ProgrammingError:
            return {}
        finally:
            cursor.execute("ROLLBACK TO SAVEPOINT contactexport_probe")


def _of_relation(conn: Connection, relation: TableName) -> dict[str, str]:
    rows = queries("adopt").base_types(conn, schema=relation.schema, name=relation.name)
    return {row["name"]: row["type"] for row in rows}
