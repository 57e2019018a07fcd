"""The SELECTs of contacts and columns for which an expression fails, for the view `contact_unreadable`."""

from collections.abc import Iterator

from sqlglot import exp

from contactexport.adopt.failing_values import Guard, call
from contactexport.adopt.from_clause import columns_in, sources
from contactexport.adopt.watched import GROUPING

NUMBER = "contactexport_guard"
FAILED = "contactexport_failed"


def put_in_place(schema: str, guard: Guard) -> None:
    """Puts the call of its function in the place of an expression."""
    called = call(schema, guard, "value")
    called.meta[NUMBER] = guard.number
    guard.node.replace(called)


def failures(tree: exp.Query, schema: str, guard: Guard) -> Iterator[exp.Select]:
    """A SELECT for each column of which the expression, whose call is in its place, is a part.

    None for one in a condition, or below UNION or LATERAL: it is not known of whose cell it is.
    """
    copied = tree.copy()
    node = next(one for one in copied.walk() if one.meta.get(NUMBER) == guard.number)
    select = node.find_ancestor(exp.Select)
    if select is not None:
        yield from _told(copied, select, _outputs_with(select, node), call(schema, guard, "failure"))


def _told(tree: exp.Query, select: exp.Select, names: set[str], failed: exp.Expr) -> Iterator[exp.Select]:
    """`failed` is a condition on rows of a SELECT whose outputs of these names are then incomplete."""
    around, outer = select.parent, select.find_ancestor(exp.Select)
    aggregates = [one for one in select.find_all(exp.AggFunc) if one.find_ancestor(exp.Select) is select]
    grouped = aggregates or any(select.args.get(part) for part in GROUPING)
    if select is tree:
        key = next(one for one in select.expressions if one.alias_or_name == "id")
        for name in sorted(names) if not grouped else ():
            column = exp.alias_(exp.cast(exp.Literal.string(name), "text"), "column_name")
            yield select.copy().select(key.copy(), column, append=False).where(failed.copy())
    elif not names or outer is None or not isinstance(around, exp.Subquery):
        return
    elif isinstance(around.parent, exp.From | exp.Join):
        alias = around.args["alias"]
        if alias.args.get("columns") or select.args.get("distinct"):
            return
        select.select(
            exp.alias_(exp.Anonymous(this="bool_or", expressions=[failed]) if grouped else failed, FAILED), copy=False
        )
        known_as = {around.alias, ""} if len(sources(outer)) == 1 else {around.alias}
        reading = [one for one in columns_in(outer) if one.table in known_as and one.name in names]
        following = {name for one in reading for name in _outputs_with(outer, one)}
        yield from _told(tree, outer, following, exp.column(FAILED, alias.this.copy()))
    else:
        rows = select.copy()
        for part in (*GROUPING, "order"):
            rows.set(part, None)
        exists = exp.Exists(this=rows.select("1", append=False).where(failed))
        yield from _told(tree, outer, _outputs_with(outer, around), exists)


def _outputs_with(select: exp.Select, node: exp.Expr) -> set[str]:
    """The output of a SELECT of which this is a part, if it is of one."""
    while node.parent is not None and node.parent is not select:
        node = node.parent
    return {node.alias_or_name} if node.arg_key == "expressions" else set()
