"""Proves, before an adoption is committed, that a change of each watched column is logged.

A few rows of each table are changed, column by column, and deleted. Each change is undone at once. What the views show
before and after it tells whether something had to be logged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InvalidTextRepresentation, LockNotAvailable, NotNullViolation
from sqlglot import exp

from contactexport.adopt.atoms import of_row
from contactexport.adopt.changed_rows import pairs_now, way_to_key
from contactexport.adopt.from_clause import columns_in
from contactexport.adopt.keys import Keys
from contactexport.adopt.statements import Statements
from contactexport.adopt.watched import Views, WatchedTable
from contactexport.db.errors import CONFLICT_CLASS, TROUBLE_CLASSES, connection_is_lost
from contactexport.db.queries import queries, template
from contactexport.errors import NotCaptured, UsageError

NO_REFUSAL = TROUBLE_CLASSES | {CONFLICT_CLASS}
ROWS_TRIED = 3


@dataclass(frozen=True)
class Row:
    """Where a row stands, and the key of a contact that it leads to."""

    part: int
    place: str
    key: str


def prove(run: Statements, views: Views, watched: list[WatchedTable], key_type: str) -> list[str]:
    """What could not be proven, one line each. Raises NotCaptured that names what would not be logged."""
    unproven: list[str] = []
    for table in watched:
        proof = _Proof(run, views, table, key_type)
        proof.require_triggers_run()
        if not proof.rows:
            unproven.append(f"{table.table}: no row leads to a contact yet")
            continue
        for column in table.columns:
            assignments = [
                template("adopt_prove", "set_column").format(column=sql.Identifier(column), value=one)
                for one in proof.values(column)
            ]
            if (why := proof.of(f"{table.table}.{column}", "update_row", assignments)) is not None:
                unproven.append(f"{table.table}.{column}: {why}")
        if (why := proof.of(f"{table.table} (DELETE)", "delete_row", [sql.SQL("")])) is not None:
            unproven.append(f"{table.table} (DELETE): {why}")
    return unproven


class _Proof:
    """Changes rows of one table, each change in a savepoint."""

    def __init__(self, run: Statements, views: Views, table: WatchedTable, key_type: str) -> None:
        self._conn = run.conn
        self._table = table
        self.names: dict[str, sql.Composable] = {
            "table": table.table.identifier,
            "view": sql.Identifier(views.schema, "contact"),
            "pairs": pairs_now(views.schema, memberships=views.memberships is not None),
            "schema": sql.Identifier(views.schema),
        }
        keys = Keys(self._conn, views.schema, key_type, table.table)
        self.rows: list[Row] = []
        for path in (*table.paths, *table.deciding_paths):
            joins, key = way_to_key(path, of_row(path.edges[0].start_side if path.edges else path.key, "r"))
            statement = template("adopt_prove", "rows_of_contacts").format(
                key=keys.of(path, key), joins=joins, most=sql.Literal(ROWS_TRIED), **self.names
            )
            with self._conn.cursor() as cursor:
                cursor.execute(statement)
                self.rows += [Row(found["part"], found["place"], found["key"]) for found in cursor.fetchall()]

    def of(self, what: str, query: str, assignments: Sequence[sql.Composable]) -> str | None:
        """Why the changes of `what` prove nothing. None: one changed a contact and was logged. Raises NotCaptured."""
        why = "no change that was tried changes a contact"
        for row in self.rows:
            for assignment in assignments:
                outcome = self._try(query, assignment, row)
                if outcome == "missed":
                    raise NotCaptured(f"{what}: a change would not be logged. Nothing was done")
                if outcome == "logged":
                    return None
                why = outcome or why
        return why

    def require_triggers_run(self) -> None:
        """Raises UsageError if a statement that changes no row fails in a trigger of ours, as then every one would."""
        columns = [sql.Identifier(one) for one in self._table.columns] or [sql.Identifier(*self._table.key)]
        for name in ("update_nothing", "insert_nothing", "delete_nothing"):
            for column in columns:
                with self._conn.cursor() as cursor:
                    cursor.execute("SAVEPOINT contactexport_proof")
                    try:
                        cursor.execute(template("adopt_prove", name).format(column=column, **self.names))
                        self._failed()
                        break
                    except psycopg2.Error as error:  # it cannot be set, such as one that is generated: then another one
                        self._why(error)
                    finally:
                        cursor.execute("ROLLBACK TO SAVEPOINT contactexport_proof")

    def _why(self, error: psycopg2.Error) -> str:
        """The words of Postgres. Raises what is no refusal of the statement."""
        if connection_is_lost(error) or isinstance(error, LockNotAvailable) or error.pgcode[:2] in NO_REFUSAL:
            raise error
        return " ".join(str(error.diag.message_primary).split())

    def _failed(self) -> str | None:
        """Why a trigger of ours could not tell what has changed. Raises UsageError if it never can."""
        code, _, message = " ".join(queries("adopt_prove").failed(self._conn).split()).partition(" ")
        if code.startswith("42"):
            raise UsageError(
                f"{self._table.table}: its changes cannot be logged, since Postgres refuses that: {message}"
            )
        return message or None

    def values(self, column: str) -> Iterator[sql.Composable]:
        """Expressions that may give a column another value: what the SELECT looks for, or by type, or of other rows."""
        name = self._table.table
        known = queries("adopt_prove").column(self._conn, schema=name.schema, name=name.name, column=column)
        place = {"column": sql.Identifier(column), "table": self.names["table"]}
        yield from (sql.SQL(one) for one in known["enum_labels"])
        for text in dict.fromkeys(
            literal.this
            for atom in (*self._table.atoms, *self._table.deciding_atoms)
            if column in {one.name for one in columns_in(atom)}
            for literal in atom.find_all(exp.Literal)
        ):
            literal = sql.Literal(text)
            if known["category"] == "U":
                yield template("adopt_prove", "json_value").format(key=literal, **place)
            yield literal
        for one in _BY_CATEGORY.get(known["category"], ()):
            yield template("adopt_prove", one).format(**place)
        if known["referenced_table"] is not None:
            referenced = {
                "table": sql.Identifier(known["referenced_schema"], known["referenced_table"]),
                "other": sql.Identifier(known["referenced_column"]),
            }
            yield template("adopt_prove", "value_of_another").format(column=place["column"], **referenced)
        yield template("adopt_prove", "value_of_another").format(other=place["column"], **place)
        yield sql.SQL("NULL")

    def _try(self, query: str, assignment: sql.Composable, row: Row) -> str | None:
        """`logged`, `missed`, None if no contact has changed, or why the change is refused."""
        with self._conn.cursor() as cursor:
            before, since = self._contact(cursor, row.key), queries("change").clock(self._conn)
            cursor.execute("SAVEPOINT contactexport_proof")
            values = {"part": row.part, "place": row.place, "key": row.key, "since": since}
            literals = {name: sql.Literal(value) for name, value in values.items()}
            try:
                cursor.execute(template("adopt_prove", query).format(assignment=assignment, **literals, **self.names))
                if (failed := self._failed()) is not None:
                    return failed
                if self._contact(cursor, row.key) == before:
                    return None
                cursor.execute(template("adopt_prove", "is_logged").format(**literals, **self.names))
                return "logged" if cursor.fetchone()["logged"] else "missed"
            except (NotNullViolation, InvalidTextRepresentation):  # no value of its type was found
                return None
            except psycopg2.Error as error:
                return self._why(error)
            finally:
                cursor.execute("ROLLBACK TO SAVEPOINT contactexport_proof")

    def _contact(self, cursor: Any, key: str) -> list[dict[str, Any]]:
        cursor.execute(template("adopt_prove", "contact").format(key=sql.Literal(key), **self.names))
        found: list[dict[str, Any]] = cursor.fetchall()
        return found


# By pg_type.typcategory: how a value becomes another one.
_BY_CATEGORY = {
    "N": ("next_number", "former_number"),
    "S": ("longer_text", "one_letter"),
    "B": ("opposite",),
    "D": ("next_day",),
    "T": ("longer_time",),
    "A": ("empty_array",),
    "U": ("random_uuid", "empty_json"),
}
