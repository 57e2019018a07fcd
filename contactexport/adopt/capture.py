"""The trigger functions that log every change of a watched table, as SQL (templates: db/sql/adopt_capture.sql)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from psycopg2 import sql
from sqlglot import exp

from contactexport.adopt.atoms import of_row
from contactexport.adopt.changed_rows import NEW, OLD, ChangedRows, part, quoted
from contactexport.adopt.failing_values import Failing
from contactexport.adopt.from_clause import columns_in
from contactexport.adopt.keys import Keys
from contactexport.adopt.sql_text import text_literal
from contactexport.adopt.view_text import TableName, sql_of
from contactexport.adopt.watched import OwnPair, Views, WatchedTable, conjunction
from contactexport.db.connection import Connection

TRIGGER_PREFIX = "contactexport_"
FUNCTION_PREFIX = "adopted_"
NOTHING = sql.SQL("")
ROWS = {"inserted": (NEW,), "updated": (NEW, OLD), "deleted": (OLD,)}


@dataclass(frozen=True)
class Function:
    """A trigger function, and the event whose trigger calls it: inserted, updated, deleted, truncated, begun, or the
    same for names. `settings` are those that it does not take from the writer's session.
    """

    name: str
    event: str
    body: sql.Composable
    settings: sql.Composable = field(default_factory=lambda: NOTHING)

    @property
    def trigger(self) -> str:
        """The name of its trigger."""
        return TRIGGER_PREFIX + self.event

    def trigger_on(self, table: TableName, schema: str) -> sql.Composed:
        """The statement that makes its trigger on a table. `schema` is that of the function."""
        event = self.event.removeprefix("named_")
        rows = part(f"rows_{event}") if event in {"inserted", "updated", "deleted"} else sql.SQL("")
        return part(
            "trigger",
            trigger=sql.Identifier(self.trigger),
            when=part(f"when_{event}"),
            table=table.identifier,
            transition=rows,
            schema=sql.Identifier(schema),
            name=sql.Identifier(self.name),
        )


class Capture:
    """Writes the functions for the tables of some views. `key_type` is that of the contacts' key in the log."""

    def __init__(self, conn: Connection, views: Views, key_type: str) -> None:
        self._conn = conn
        self._views = views
        self._schema = sql.Identifier(views.schema)
        self._key_type = sql.SQL(key_type)
        self._kinds = Failing(conn, views.schema, views.contacts)

    def functions(self, number: int, table: WatchedTable) -> Iterator[Function]:
        """Those of a table. `number` makes their names."""
        keys = Keys(self._conn, self._views.schema, self._key_type.string, table.table)
        for event in ("inserted", "updated", "deleted", "truncated"):
            rows = ChangedRows(self._views, table, event, self._schema, self._key_type, keys.of)
            own = table.own if table.is_fast else None
            body = self._body(rows, table, event) if own is None else self._own_body(table, own, event)
            body = part("frame_of_what_may_fail", body=body, instead=rows.possible(), schema=self._schema)
            settings = part("pinned_settings") if own is None or not self._is_steady(table, own) else NOTHING
            yield Function(f"{FUNCTION_PREFIX}{number}_{event}", event, body, settings)
        if table.deciding_paths and not table.is_fast:
            yield Function(f"{FUNCTION_PREFIX}{number}_begun", "begun", part("frame", body=part("begun_body")))

    def _is_steady(self, table: WatchedTable, own: OwnPair) -> bool:
        used = [own.id, own.kind, own.origin, *own.holds, *table.atoms]
        # How a backslash in a text is read is a setting, too.
        return all(self._kinds.is_steady(one) and "\\" not in sql_of(one) for one in used)

    def _own_body(self, table: WatchedTable, own: OwnPair, event: str) -> sql.Composed:
        values: dict[str, sql.Composable] = {"schema": self._schema, "key_type": self._key_type}
        values["table"] = table.table.identifier
        # Columns that tell a change by themselves: they are shown as they are, and compared easily.
        told = {one.name for one in table.atoms if isinstance(one, exp.Column)} & table.plain_columns
        for row in ("n", "o"):
            texts = {"id": of_row(own.id, row), "kind": of_row(own.kind, row), "origin": of_row(own.origin, row)}
            texts["holds"] = conjunction(own.holds, row)
            values |= {f"{row}_{name}": sql.SQL(text) for name, text in texts.items()}
            values[f"{row}_told"] = sql.SQL(", ").join(
                sql.SQL("{}, {}").format(sql.Literal(name), sql.SQL(f"{row}.{quoted(name)}")) for name in sorted(told)
            )
            values[f"{row}_decides"] = part(
                f"decides_{self._key_type.string}", **{name: sql.SQL(text) for name, text in texts.items()}
            )
        values["same_key"] = sql.SQL(f"({of_row(own.id, 'n')}) = ({of_row(own.id, 'o')})")
        values["same_origin"] = sql.SQL("({n_kind}) = ({o_kind}) AND ({n_origin}) = ({o_origin})").format(**values)
        values["differ"] = self._differ(table, table.plain_columns)
        values["differ_in_one"] = self._differ(table, frozenset())
        values["may_leave"] = part("has_left", **values)
        constant = not own.origin.find(exp.Column)
        values["origins"] = sql.SQL("") if constant else sql.SQL("{};").format(part("new_origins", **values))
        formatted = sql.SQL(values["same_key"].string.replace("%", "%%"))  # as format() reads it
        values["all_told"] = text_literal(self._conn, part("all_told", same_key=formatted), "told")
        return part(f"{event}_own_body", **values)

    def _differ(self, table: WatchedTable, by_themselves: frozenset[str]) -> sql.Composed:
        """Columns that are shown as they are, and expressions over others, which are only computed if these differ.

        Columns compared `by_themselves` are faster for many rows, one comparison of all for one row.
        """
        shown = {one.name for one in table.atoms if isinstance(one, exp.Column)}
        computed = [one for one in table.atoms if not isinstance(one, exp.Column)]
        compared = _columns_differ(by_themselves, [one for one in table.columns if one in shown])
        inside = _columns_differ(by_themselves, [one for one in table.columns if one not in shown])
        if computed:
            atoms = [[of_row(one, row) for one in computed] for row in ("n", "o")]
            looked_at = {column.name for one in computed for column in columns_in(one)} & shown
            every = [*inside, *_columns_differ(by_themselves, [one for one in table.columns if one in looked_at])]
            compared.append(sql.SQL("({}) AND {}").format(sql.SQL(" OR ").join(every), _rows_differ(*atoms)))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(compared))

    def _body(self, writer: ChangedRows, table: WatchedTable, event: str) -> sql.Composed:
        values: dict[str, sql.Composable] = {"schema": self._schema}
        if event == "truncated":
            statement = writer.statement(one_by_one=False, many=sql.SQL("false"), stale=sql.SQL("false"))
            return part("truncated_body", **values, many_rows=self._literal(statement))
        many_rows = writer.statement(one_by_one=False, many=sql.SQL("$1"), stale=sql.SQL("$2"))
        nothing = sql.SQL("")
        deciding = bool(table.deciding_paths)
        into = part("into_origins") if deciding else nothing
        variables = {"many": sql.SQL("contactexport_many"), "stale": sql.SQL("contactexport_stale")}
        return part(
            "changed_body",
            **values,
            first=part("locks_first", **values),
            rows=sql.SQL(ROWS[event][0]),
            many=part("is_many") if deciding else sql.SQL("false"),
            many_rows=self._literal(many_rows),
            few_rows=writer.statement(one_by_one=True, into=into, **variables),
            into=into,
            origins=sql.SQL("{};").format(part("found_origins", **values)) if deciding else nothing,
        )

    def _literal(self, statement: sql.Composed) -> sql.Composable:
        return text_literal(self._conn, statement, "many")


def _columns_differ(by_themselves: frozenset[str], columns: list[str]) -> list[sql.Composable]:
    single = [quoted(one) for one in columns if one in by_themselves]
    compared: list[sql.Composable] = [sql.SQL(f"n.{one} IS DISTINCT FROM o.{one}") for one in single]
    others = [[f"{row}.{quoted(one)}" for one in columns if one not in by_themselves] for row in ("n", "o")]
    return [*compared, _rows_differ(*others)] if others[0] else compared


def _rows_differ(new: list[str], old: list[str]) -> sql.Composed:
    """As written: values that are only equal, such as 1.0 and 1.00, make another file."""
    return part("rows_differ", new=sql.SQL(", ".join(new)), old=sql.SQL(", ".join(old)))
