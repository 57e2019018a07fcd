"""How the rows of tables lead to the contacts of a SELECT: by equalities, from table to table, to the contact's key.

An equality may be followed from one table to another if a row of the first has a part in a contact only where it holds.
That is so inside one FROM and WHERE, from the inside of a subquery to its outside, and from the optional side of a LEFT
JOIN to the other side, but never the other way.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from contactexport.adopt.from_clause import chosen_rows, columns_in, conjuncts, joins, outputs, source
from contactexport.adopt.unsupported import refuse_odd_tables, refuse_unsupported
from contactexport.adopt.view_text import TableName
from contactexport.errors import UsageError

# Casts to these keep a key as it is. One to text, or of a text, does not.
KEY_TYPES = frozenset({exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.UUID})
# An equality with these is none of one row with another.
NO_SIDE = (exp.Query, exp.AggFunc, exp.Any, exp.All)


@dataclass(frozen=True, eq=False)
class Occurrence:
    """One place of the SELECT at which a table is named. Columns of copies know it by its number."""

    number: int
    node: exp.Table
    table: TableName


@dataclass(frozen=True, eq=False)
class Edge:
    """Rows of `start` have a part in a contact only where `start_side = end_side`."""

    start: Occurrence
    start_side: exp.Expr
    end: Occurrence
    end_side: exp.Expr


@dataclass(frozen=True)
class Path:
    """The equalities from an occurrence's rows to those of another table that has the key. None if the rows have it.

    `key` is an expression over that last table.
    """

    edges: tuple[Edge, ...]
    key: exp.Expr


class Lineage:
    """The occurrences of tables in a SELECT that has no views and CTEs left. `key` names its output with the id."""

    def __init__(self, tree: exp.Query, key: str) -> None:
        self.tree = tree
        tables = [node for node in tree.find_all(exp.Table) if node.name]
        self.occurrences = [Occurrence(number, node, TableName.of(node)) for number, node in enumerate(tables)]
        self._by_node = {id(one.node): one for one in self.occurrences}
        refuse_odd_tables(tree)
        refuse_unsupported(tree)
        self.edges: list[Edge] = []
        for select in tree.find_all(exp.Select):
            self._collect(select)
        keys = [base for one in outputs(tree, key) for base in self.base_expressions(one)]
        self.targets = [(found, one) for one in keys if (found := self.only_occurrence(one)) is not None]
        if not self.targets or len(self.targets) != len(keys):
            raise UsageError(f"{key}: the contact's id must be a column of one table")
        self._refuse_windows()

    def occurrence(self, column: exp.Column) -> Occurrence | None:
        """The occurrence that a column is of, also one in a copy that `base_expressions` made. None: not a table's."""
        number = column.meta.get("occurrence")
        return self._by_node.get(id(source(column))) if number is None else self.occurrences[number]

    def only_occurrence(self, expression: exp.Expr) -> Occurrence | None:
        """The one that all columns of an expression are of. None if they are of several, or there is no column."""
        found = {self.occurrence(column) for column in columns_in(expression)}
        return next(iter(found)) if len(found) == 1 else None

    def named_columns(self) -> Iterator[tuple[TableName, str]]:
        """Each column of a table that is named, with its table. A whole row is `*`."""
        for column in columns_in(self.tree):
            if (found := self.occurrence(column)) is not None:
                yield found.table, column.name

    def base_expressions(self, expression: exp.Expr) -> Iterator[exp.Expr]:
        """The expression over tables instead of subqueries: several for a UNION, none for an aggregate."""
        alternatives = [[]]  # type: list[list[exp.Expr]]
        for column in columns_in(expression):
            inner = self._inner(column)
            alternatives = [[*chosen, one] for chosen in alternatives for one in inner]
        for chosen in alternatives:
            copied = exp.Paren(this=expression.copy())
            for column, replacement in zip(columns_in(copied), chosen, strict=True):
                column.replace(replacement.copy())
            yield copied.this

    def path(self, start: Occurrence) -> Path:
        """The shortest way to the key. Raises UsageError that names the table if there is none."""
        keys = dict(self.targets)
        waiting: deque[tuple[Occurrence, tuple[Edge, ...]]] = deque([(start, ())])
        seen = {start}
        while waiting:
            at, edges = waiting.popleft()
            if at in keys:
                key = keys[at]
                end, wanted = (_plain(edges[-1].end_side), _plain(key)) if edges else (None, None)
                if isinstance(end, exp.Column) and isinstance(wanted, exp.Column) and end.name == wanted.name:
                    # All that is needed of the last table is what it is looked for by: the way ends before it.
                    return Path(edges[:-1], edges[-1].start_side)
                return Path(edges, key)
            for edge in self.edges:
                if edge.start is at and edge.end not in seen:
                    seen.add(edge.end)
                    waiting.append((edge.end, (*edges, edge)))
        raise UsageError(
            f"{start.table}: no equality leads from its rows to the contact's key, so it is not known whose contact "
            "they change. Expected is a condition such as other.customer_id = customer.id"
        )

    def _inner(self, column: exp.Column) -> list[exp.Expr]:
        found = source(column)
        if (occurrence := self._by_node.get(id(found))) is not None:
            noted = column.copy()
            noted.meta["occurrence"] = occurrence.number
            return [noted]
        query = found.this if isinstance(found, exp.Lateral) else found
        query = query.unnest() if isinstance(query, exp.Subquery) else query
        if found is None or not isinstance(query, exp.Query):
            return []
        renamed = [one.name for one in (found.args["alias"].args.get("columns") or ())]
        which = renamed.index(column.name) if column.name in renamed else column.name
        plain = [one for one in outputs(query, which) if one.find(exp.AggFunc, exp.Subquery, exp.Window) is None]
        return [base for one in plain for base in self.base_expressions(one)]

    def _collect(self, select: exp.Select) -> None:
        inside = {id(node) for node in select.find_all(exp.Table)}
        if (where := select.args.get("where")) is not None:
            self._add_equalities(where.this, inside)
        for join in joins(select):
            if (condition := join.args.get("on")) is not None:
                optional = {id(node) for node in join.this.find_all(exp.Table)}
                self._add_equalities(condition, optional if join.side else inside)
        for condition, left, query in chosen_rows(select):
            if condition.find_ancestor(exp.Select) is select:
                chosen = {id(node) for node in query.find_all(exp.Table)}
                for position, one in enumerate(left):
                    for output in outputs(query, position):
                        self._link(output, one, chosen)

    def _add_equalities(self, condition: exp.Expr, inside: set[int]) -> None:
        """`inside` are the tables from which an equality may be followed."""
        for one in conjuncts(condition):
            if isinstance(one, exp.EQ) and one.find(*NO_SIDE) is None:
                self._link(one.this, one.expression, inside)
                self._link(one.expression, one.this, inside)

    def _link(self, start_side: exp.Expr, end_side: exp.Expr, inside: set[int]) -> None:
        ends = list(self.base_expressions(end_side))
        if len(ends) != 1 or (end := self.only_occurrence(ends[0])) is None:
            return  # of several parts of a UNION a row in one is enough
        for one in self.base_expressions(start_side):
            start = self.only_occurrence(one)
            sets = one.find(exp.Explode, exp.ExplodingGenerateSeries, exp.Unnest)
            if start is not None and start is not end and id(start.node) in inside and sets is None:
                self.edges.append(Edge(start, one, end, ends[0]))

    def _refuse_windows(self) -> None:
        """A window function may look at rows of one contact only: its PARTITION BY must name what leads to the key."""
        leading = {(one.start, _plain(one.start_side).name) for one in self.edges}
        leading |= {(found, _plain(key).name) for found, key in self.targets}
        for window in self.tree.find_all(exp.Window):
            parts = [base for one in window.args.get("partition_by") or () for base in self.base_expressions(one)]
            if not any((self.only_occurrence(one), _plain(one).name) in leading for one in parts):
                raise UsageError(f"{window.this.sql()} OVER (…) cannot be watched: PARTITION BY the contact's key")


def _plain(expression: exp.Expr) -> exp.Expr:
    while isinstance(expression, exp.Paren) or (isinstance(expression, exp.Cast) and expression.to.this in KEY_TYPES):
        expression = expression.this
    return expression
