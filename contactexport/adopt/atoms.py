"""What of a table's row a SELECT looks at: the largest expressions over its columns alone, called atoms.

If all atoms of a row stay as they are, no contact changes by it. Some decide whether a row is a contact, or of which
origin. The others only give values.
"""

from collections.abc import Iterator

from sqlglot import exp

from contactexport.adopt.from_clause import columns_in, joins, outputs, source
from contactexport.adopt.lineage import Lineage, Occurrence
from contactexport.adopt.view_text import sql_of

# An atom ends below these: they look at other rows, or stand for no value.
BOUNDARIES = (
    exp.Alias, exp.Select, exp.Where, exp.Join, exp.From, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Distinct,
    exp.AggFunc, exp.Window, exp.Filter, exp.WithinGroup, exp.Subquery, exp.Exists, exp.Lateral, exp.Unnest, exp.Limit,
    exp.Offset, exp.Fetch, exp.SetOperation, exp.Tuple, exp.Table, exp.TableAlias, exp.Explode, exp.PropertyEQ,
)  # fmt: skip
NOT_BY_THEMSELVES = (exp.If, exp.Identifier, exp.DataType, exp.Star, exp.Var, exp.Interval)


class Atoms:
    """The atoms of a SELECT. `deciding_outputs` are those of its outputs that are no values: id and origin."""

    def __init__(self, lineage: Lineage, deciding_outputs: frozenset[str]) -> None:
        self._lineage = lineage
        self._root = lineage.tree
        self._deciding_outputs = deciding_outputs
        plain = isinstance(self._root, exp.Select)
        self._all_decide = not plain or any(
            self._root.args.get(part) for part in ("group", "having", "distinct", "limit", "offset", "windows")
        )
        self._optional: list[exp.Join] = []
        if isinstance(self._root, exp.Select) and not self._all_decide:
            self._optional = [one for one in joins(self._root) if one.side == "LEFT"]
        # A LEFT JOIN decides if what decides looks at what it gives. That may be the condition of another one.
        self._deciding_joins: set[int] = set()
        found = -1
        while found != len(self._deciding_joins):
            found = len(self._deciding_joins)
            for column in columns_in(self._root):
                if self.decides(column) and (looked_at := source(column)) is not None:
                    around = {id(one) for one in ancestors(looked_at)}
                    self._deciding_joins |= {id(one) for one in self._optional if id(one) in around}

    def of(self, occurrence: Occurrence, *, deciding: bool) -> Iterator[exp.Expr]:
        """The atoms of one occurrence that do, or do not, decide."""
        seen: set[int] = set()
        for column in columns_in(self._root):
            if self._lineage.occurrence(column) is occurrence and self.decides(column) is deciding:
                atom = self._largest(column, occurrence)
                if id(atom) not in seen:
                    seen.add(id(atom))
                    yield atom

    def decides(self, node: exp.Expr) -> bool:
        """True if what stands there may decide whether there is a contact, and of which origin.

        That is everything but values, and what is joined by LEFT JOIN for values alone.
        """
        if self._all_decide:
            return True
        below = node
        for one in ancestors(node):
            if one is self._root:
                break
            if any(one is join for join in self._optional):
                return id(one) in self._deciding_joins
            below = one
        return below.arg_key != "expressions" or below.alias_or_name in self._deciding_outputs

    def _largest(self, column: exp.Column, occurrence: Occurrence) -> exp.Expr:
        best: exp.Expr = column
        for one in ancestors(column):
            if isinstance(one, BOUNDARIES) or one.find(*BOUNDARIES) is not None:
                break
            if any(self._lineage.occurrence(other) is not occurrence for other in columns_in(one)):
                break
            if isinstance(one, exp.Condition) and not isinstance(one, NOT_BY_THEMSELVES):
                best = one
        return best


def of_row(expression: exp.Expr, row: str) -> str:
    """The text of an expression over one table's columns, for a row of this name."""
    copied = exp.Paren(this=expression.copy())
    for column in columns_in(copied):
        column.set("table", exp.to_identifier(row))
    return sql_of(copied.this)


def output_of(query: exp.Query, name: str, occurrence: Occurrence) -> exp.Expr | None:
    """The expression of an output if it is over this occurrence alone, or a constant."""
    found = outputs(query, name)
    if len(found) != 1 or found[0].find(exp.Query, exp.AggFunc, exp.Window) is not None:
        return None
    # Not through a subquery: that may give no row, and so NULL.
    return found[0] if all(source(column) is occurrence.node for column in columns_in(found[0])) else None


def ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    """What an expression stands in, from the inside to the outside."""
    while node.parent is not None:
        node = node.parent
        yield node
