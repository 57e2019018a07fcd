"""Expressions that fail for some values, such as (attribs->>'age')::int, become NULL there.

An error in a trigger would break the statement of whoever writes the table, and one in a view the whole export. So each
such expression is put into a function that returns NULL when it fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from psycopg2 import sql
from sqlglot import exp

from contactexport.adopt.atoms import BOUNDARIES, ancestors
from contactexport.adopt.column_types import ColumnTypes, types_of
from contactexport.adopt.from_clause import columns_in
from contactexport.adopt.lineage import Lineage
from contactexport.adopt.sql_text import text_literal
from contactexport.adopt.view_text import sql_of
from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template
from contactexport.errors import UsageError

# What never fails by itself. Whatever is not here may.
SAFE = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.DataType, exp.DataTypeParam,
    exp.And, exp.Or, exp.Not, exp.Is, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.Concat, exp.Lower, exp.Upper,
    exp.Trim, exp.Length, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar,
    exp.JSONPath,
    exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript, exp.In, exp.Between, exp.Any, exp.All,
    exp.Star, exp.Var, exp.Dot,
)  # fmt: skip
# Structure of SELECTs: what is inside is looked at by itself.
STRUCTURE = (*BOUNDARIES, exp.Query, exp.In)
CONDITIONS = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Any, exp.Case,
    exp.If, exp.Coalesce,
)  # fmt: skip
SAFE_CASTS = {
    "smallint": {"INT", "BIGINT", "DECIMAL", "DOUBLE"},
    "integer": {"BIGINT", "DECIMAL", "DOUBLE"},
    "bigint": {"DECIMAL"},
    "real": {"DOUBLE"},
}
TEXTS = {"text", "character varying", "character", "name"}
GIVE_TEXT = (exp.Lower, exp.Upper, exp.Trim, exp.JSONExtractScalar, exp.JSONBExtractScalar, exp.Concat)
# What reads and writes values in the same way whatever a session has set.
STEADY = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.DataType, exp.And, exp.Or, exp.Not,
    exp.Is, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Case, exp.If, exp.Coalesce, exp.In, exp.Any,
)  # fmt: skip
STEADY_TYPES = {"smallint", "integer", "bigint", "boolean", "uuid", *TEXTS}


@dataclass(frozen=True)
class Guard:
    """The function for one expression; `node` is where it stands, `arguments` are the columns it takes."""

    number: int
    node: exp.Expr
    arguments: tuple[exp.Column, ...]
    types: tuple[str, ...]

    @property
    def narrows(self) -> bool:
        """True for a bigint that shall be an integer."""
        if not isinstance(self.node, exp.Cast) or not isinstance(self.node.this.unnest(), exp.Column):
            return False
        return self.types == ("bigint",) and self.node.to.this is exp.DType.INT


def guards(conn: Connection, schema: str, lineage: Lineage, deciding: frozenset[str], first: int = 0) -> list[Guard]:
    """The expressions of a SELECT that may fail, numbered from `first`. The search path must be pg_catalog.

    Of outputs that are `deciding` as little as possible becomes NULL, of others all.
    """
    types = Failing(conn, schema, lineage)
    found: dict[int, exp.Expr] = {}
    for node in types.nodes():
        largest = _largest(node, types, deciding)
        if largest is not None:
            found[id(largest)] = largest
    outermost = [one for one in found.values() if not any(id(above) in found for above in ancestors(one))]
    made = []
    for number, node in enumerate(outermost, first):
        arguments = tuple({sql_of(one): one for one in columns_in(node)}.values())
        made.append(Guard(number, node, arguments, tuple(types.of(one) or "" for one in arguments)))
    return made


def functions(conn: Connection, schema: str, guard: Guard) -> Iterator[sql.Composed]:
    """The function that gives the value or NULL, and the one that tells whether it fails."""
    names = [f"p{number}" for number in range(1, len(guard.arguments) + 1)]
    by_column = dict(zip((sql_of(one) for one in guard.arguments), names, strict=True))
    expression = _with_columns(guard.node, {key: exp.column(name) for key, name in by_column.items()})
    nulls = zip(by_column, guard.types, strict=True)
    typed = _with_columns(
        guard.node, {key: exp.cast(exp.null(), exp.DataType.build(kind, udt=True)) for key, kind in nulls}
    )
    kind = types_of(conn, schema, sql_of(exp.select(exp.alias_(typed, "value")))).get("value")
    if kind is None:
        raise UsageError(f"{sql_of(guard.node)}: Postgres cannot tell its type: name it by a cast")
    parameters = ", ".join(f"{name} {one}" for name, one in zip(names, guard.types, strict=True))
    for name, its_kind in (("value", kind), ("failure", "boolean")):
        values: dict[str, sql.Composable] = {"expression": sql.SQL(sql_of(expression))}
        if guard.narrows:
            values["fits"] = template("adopt", "is_integer")
        body = template("adopt", f"integer_{name}_body" if guard.narrows else f"{name}_body").format(**values)
        yield template("adopt", "integer_function" if guard.narrows else f"{name}_function").format(
            name=sql.Identifier(schema, f"adopted_{name}_{guard.number}"),
            parameters=sql.SQL(parameters),
            type=sql.SQL(its_kind),
            body=text_literal(conn, body, "body"),
        )


def call(schema: str, guard: Guard, name: str) -> exp.Expr:
    """Calls one of the functions with the columns of the place where the expression stands."""
    called = exp.Anonymous(this=f"adopted_{name}_{guard.number}", expressions=[one.copy() for one in guard.arguments])
    return exp.Dot(this=exp.to_identifier(schema, quoted=True), expression=called)


class Failing(ColumnTypes):
    """What of a SELECT may fail, and what depends on the settings of a session."""

    def __init__(self, conn: Connection, schema: str, lineage: Lineage) -> None:
        super().__init__(conn, schema, lineage)
        self._tree = lineage.tree
        self._not_for_one_row = {row["name"] for row in queries("adopt").not_for_one_row(conn)}

    def nodes(self) -> Iterator[exp.Expr]:
        """Those that may fail by themselves. Calls of our own functions cannot."""
        for node in self._tree.walk():
            if isinstance(node, exp.Expr) and self.may_fail(node):
                yield node

    def may_fail(self, node: exp.Expr) -> bool:
        """True unless this part of an expression has a value whatever its operands are."""
        if not isinstance(node, (exp.Condition, exp.AtTimeZone)) or isinstance(node, STRUCTURE) or not columns_in(node):
            return False  # it has no value, or always the same
        if isinstance(node, exp.Cast):
            operand = node.this.unnest()
            if node.to.this in exp.DataType.TEXT_TYPES:
                return False
            known = self.of(operand) if isinstance(operand, exp.Column) else None
            # A type by its name, such as regclass, has no value here.
            kind = getattr(node.to.this, "value", "")
            return bool(node.to.expressions) or kind not in SAFE_CASTS.get(known or "", set())
        if isinstance(node, exp.DPipe):
            # Arrays of other dimensions cannot be joined, and not every JSON value can.
            sides = [node.this, node.expression]
            return not any(map(self._is_text, sides)) or any(map(self._may_be_array, sides))
        if isinstance(node, exp.Array):
            return any(self._may_be_array(one) for one in node.expressions)
        if isinstance(node, exp.Anonymous) and (is_ours(node) or self.is_for_several_rows(node)):
            return False
        return not isinstance(node, SAFE)

    def is_for_several_rows(self, node: exp.Expr) -> bool:
        """True for a call that cannot stand in a function for one row's value."""
        return isinstance(node, exp.Anonymous) and node.name.lower() in self._not_for_one_row

    def is_steady(self, expression: exp.Expr) -> bool:
        """True if an expression gives the same for a row whatever a session has set."""
        if isinstance(expression, exp.Column):
            return True
        for node in expression.walk():
            constant = isinstance(node, exp.Cast) and isinstance(node.this.unnest(), exp.Literal | exp.Null)
            to_text = isinstance(node, exp.Cast) and self._is_text(node.this)
            if isinstance(node, exp.Column) and self.of(node) not in STEADY_TYPES:
                return False
            if not constant and not to_text and not isinstance(node, STEADY):
                return False
        return True

    def _is_text(self, node: exp.Expr) -> bool:
        node = node.unnest()
        if isinstance(node, exp.Column):
            return self.of(node) in TEXTS
        if isinstance(node, exp.Cast):
            return node.to.this in exp.DataType.TEXT_TYPES
        return isinstance(node, GIVE_TEXT) or (isinstance(node, exp.DPipe) and not self.may_fail(node))

    def _may_be_array(self, node: exp.Expr) -> bool:
        node = node.unnest()
        if isinstance(node, exp.Column):
            return (self.of(node) or "[]").endswith("[]")
        if isinstance(node, exp.Cast):
            return node.to.this is exp.DType.ARRAY
        return not self._is_text(node) and not isinstance(node, exp.Literal | exp.Null)


def is_ours(node: exp.Expr) -> bool:
    """True for a call of a function that this module makes."""
    return isinstance(node, exp.Anonymous) and node.name.startswith(("adopted_value_", "adopted_failure_"))


def _largest(node: exp.Expr, types: Failing, deciding: frozenset[str]) -> exp.Expr | None:
    """What goes into a function: in an output all of the expression, in a condition one side of a comparison."""
    best = node if _fits(node, types) else None
    above = list(takewhile(lambda one: not isinstance(one, exp.Select), ancestors(node)))
    in_output = not any(
        isinstance(one, (exp.Where, exp.Join)) or (isinstance(one, exp.Alias) and one.alias in deciding)
        for one in above
    )
    for one in ancestors(node):
        if isinstance(one, STRUCTURE) or (isinstance(one, CONDITIONS) and not in_output):
            break
        if isinstance(one, exp.Condition) and not isinstance(one, exp.If):
            if not _fits(one, types):
                break
            best = one
    return best


def _fits(node: exp.Expr, types: Failing) -> bool:
    columns = columns_in(node)
    if node.find(*BOUNDARIES, exp.Query) is not None or any(map(types.is_for_several_rows, node.walk())):
        return False
    return bool(columns) and all(types.of(one) for one in columns)


def _with_columns(node: exp.Expr, replacements: dict[str, exp.Expr]) -> exp.Expr:
    copied = exp.Paren(this=node.copy())
    for column in columns_in(copied):
        column.replace(replacements[sql_of(column)].copy())
    made: exp.Expr = copied.this
    return made
