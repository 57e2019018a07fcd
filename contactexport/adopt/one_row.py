"""Refuses what fails for some rows and cannot be put into a function, since it is over several rows."""

from collections.abc import Iterator

from sqlglot import exp

from contactexport.adopt.from_clause import columns_in, conjuncts, joins, source, sources
from contactexport.adopt.lineage import Lineage
from contactexport.adopt.view_text import TableName, sql_of
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError

# Where a subquery may have any number of rows.
MANY_ROWS = (exp.From, exp.Join, exp.Lateral, exp.In, exp.Any, exp.All, exp.SetOperation, exp.Subquery, exp.Table)
OBJECTS = (exp.JSONBObjectAgg, exp.JSONObjectAgg)


class OneRow:
    """Looks for subqueries that stand for one value and may find two rows, and for keys of objects that may be NULL."""

    def __init__(self, conn: Connection, lineage: Lineage) -> None:
        self._conn = conn
        self._lineage = lineage
        self._aggregates = {row["name"] for row in queries("adopt").aggregates(conn)}

    def require(self) -> None:
        """Raises UsageError that names the table, or the key. A statement would fail as soon as there are such rows."""
        for subquery in self._lineage.tree.find_all(exp.Subquery):
            if not isinstance(subquery.this, exp.Query) or isinstance(subquery.parent, (*MANY_ROWS, type(None))):
                continue
            for table in self._of_many_rows(subquery.unnest()):
                raise UsageError(
                    f"A subquery stands for one value and may find two rows of {table}, as no unique index forbids "
                    "them: use an aggregate such as max(…), or end it with LIMIT 1"
                )
        for made in self._lineage.tree.find_all(*OBJECTS):
            key = made.expressions[0] if made.expressions else made.this
            if not self._is_never_null(made, key):
                raise UsageError(
                    f"A key of a JSON object, {sql_of(key)}, may be NULL, for which Postgres fails: "
                    f"add FILTER (WHERE {sql_of(key)} IS NOT NULL)"
                )

    def _of_many_rows(self, query: exp.Expr) -> Iterator[str]:
        """What a subquery may find several rows of, for one row around it."""
        limit = query.args.get("limit")
        if limit is not None and [one.this for one in limit.find_all(exp.Literal)] == ["1"]:
            return
        if not isinstance(query, exp.Select):
            yield "several SELECTs"
            return
        calls = [one for one in query.find_all(exp.Func) if one.find_ancestor(exp.Select) is query]
        if not query.args.get("group") and any(
            isinstance(one, exp.AggFunc) or one.name.lower() in self._aggregates
            for one in calls
            if not isinstance(one.parent, exp.Window)
        ):
            return
        waiting = sources(query)
        equal = list(self._equal_sides(query))
        while waiting:
            unknown = [id(node) for node in waiting.values()]
            told = [
                one for one, other in equal if not any(id(source(column)) in unknown for column in columns_in(other))
            ]
            found = [alias for alias, node in waiting.items() if self._is_told(node, told)]
            if not found:
                yield from (str(TableName.of(one)) if isinstance(one, exp.Table) else "it" for one in waiting.values())
                return
            for alias in found:
                del waiting[alias]

    def _equal_sides(self, query: exp.Select) -> Iterator[tuple[exp.Expr, exp.Expr]]:
        conditions = [query.args["where"].this] if query.args.get("where") else []
        conditions += [one.args["on"] for one in joins(query) if one.args.get("on")]
        for one in (each for condition in conditions for each in conjuncts(condition)):
            if isinstance(one, exp.EQ):
                yield from ((one.this, one.expression), (one.expression, one.this))

    def _is_told(self, node: exp.Expr, told: list[exp.Expr]) -> bool:
        """True if columns of which the values are given tell one row of a table: those of a unique index."""
        if isinstance(node, exp.Subquery):
            return not any(True for _ in self._of_many_rows(node.unnest()))
        if not isinstance(node, exp.Table):
            return False
        names = set()
        for side in told:
            is_text = isinstance(side, exp.Cast) and side.to.this in exp.DataType.TEXT_TYPES
            column = side.this.unnest() if is_text else side.unnest()  # as Postgres writes it for varchar
            if isinstance(column, exp.Column) and source(column) is node:
                names.add(column.name)
        table = TableName.of(node)
        keys = queries("adopt").unique_keys(self._conn, schema=table.schema, name=table.name)
        return any(set(row["columns"]) <= names for row in keys)

    def _is_never_null(self, made: exp.Expr, key: exp.Expr) -> bool:
        select = made.find_ancestor(exp.Select)
        conditions = [made.parent.expression.this] if isinstance(made.parent, exp.Filter) else []
        conditions += [select.args["where"].this] if select is not None and select.args.get("where") else []
        for one in (each for condition in conditions for each in conjuncts(condition)):
            negated = one.this.unnest() if isinstance(one, exp.Not) else one
            if (
                isinstance(negated, exp.Is)
                and isinstance(negated.expression, exp.Null)
                and negated.this.unnest() == key
            ):
                return isinstance(one, exp.Not) or bool(negated.args.get("negate"))
        found = self._lineage.occurrence(key) if isinstance(key, exp.Column) else None
        join = found.node.find_ancestor(exp.Join, exp.Select) if found is not None else None
        if found is None or (isinstance(join, exp.Join) and join.side):
            return False
        return key.name in queries("adopt").given_columns(self._conn, schema=found.table.schema, name=found.table.name)
