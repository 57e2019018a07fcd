"""The parts of a parsed SELECT: sources by alias, joins, outputs, conditions joined by AND."""

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from contactexport.adopt.view_text import TableName


def sources(select: exp.Select) -> dict[str, exp.Expr]:
    """What a SELECT reads, by alias: tables, subqueries and functions."""
    clause = select.args.get("from_")
    found = list(_leaves(clause.this)) if clause is not None else []
    for join in select.args.get("joins") or ():
        found += _leaves(join.this)
    return {one.alias_or_name: one for one in found}


def joins(select: exp.Select) -> Iterator[exp.Join]:
    """The joins of a SELECT, those in brackets too, but not those of its subqueries."""
    for join in select.find_all(exp.Join):
        if join.find_ancestor(exp.Select) is select:
            yield join


def source(column: exp.Column) -> exp.Expr | None:
    """The table, subquery or function in FROM that a column is of. None if that cannot be told."""
    select = column.find_ancestor(exp.Select)
    while select is not None:
        found = sources(select)
        if not column.table and len(found) == 1:
            return next(iter(found.values()))
        if column.table in found:
            return found[column.table]
        select = select.find_ancestor(exp.Select)
    return None


def is_correlated(select: exp.Select | None) -> bool:
    """True if a SELECT depends on a row of the one around it."""
    if select is None:
        return False
    own = {id(node) for node in select.find_all(exp.Table, exp.Subquery, exp.Lateral)}
    found = (source(column) for column in columns_in(select))
    return any(one is not None and id(one) not in own for one in found)


def chosen_rows(tree: exp.Expr) -> Iterator[tuple[exp.Expr, list[exp.Expr], exp.Expr]]:
    """Each `a IN (SELECT …)` or `a = ANY (ARRAY(SELECT …))`, what stands on its left, and its query."""
    for condition in tree.find_all(exp.In, exp.EQ):
        query = condition.args.get("query")
        if isinstance(condition, exp.EQ) and isinstance(condition.expression, exp.Any):
            array = condition.expression.this.unnest()
            query = array.find(exp.Query) if isinstance(array, exp.Array) else None
        if query is not None:
            left = condition.this.unnest()
            yield condition, left.expressions if isinstance(left, (exp.Tuple, exp.Anonymous)) else [left], query


def outputs(query: exp.Expr, which: str | int) -> list[exp.Expr]:
    """The expression of an output by name or position, one for each part of a UNION."""
    if isinstance(query, exp.Subquery):
        return outputs(query.this, which)
    if isinstance(query, exp.SetOperation):
        names = query.named_selects
        position = names.index(which) if isinstance(which, str) else which
        return outputs(query.this, position) + outputs(query.expression, position)
    if not isinstance(query, exp.Select):
        return []
    chosen = query.expressions
    if isinstance(which, str):
        chosen = [one for one in chosen if one.alias_or_name == which]
        which = 0
    return [chosen[which].unalias()] if which < len(chosen) else []


def conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    """The conditions that all have to hold."""
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from conjuncts(condition.this)
        yield from conjuncts(condition.expression)
    else:
        yield condition


def columns_in(expression: exp.Expr) -> list[exp.Column]:
    """The columns that an expression names, from left to right."""
    return list(expression.find_all(exp.Column, bfs=False))


def replace_using(tree: exp.Query, columns: Mapping[TableName, Sequence[str]]) -> None:
    """Writes JOIN … USING (a) as JOIN … ON x.a = y.a, which means the same where no output is the merged column."""
    for join in [one for one in tree.find_all(exp.Join) if one.args.get("using")]:
        joined = {one.alias_or_name: one for one in _leaves(join.this)}
        before = [
            one for name, one in sources(join.find_ancestor(exp.Select) or exp.Select()).items() if name not in joined
        ]
        conditions = []
        for name in join.args["using"]:
            left = next(one for one in before if name.name in _column_names(one, columns))
            right = next(one for one in joined.values() if name.name in _column_names(one, columns))
            pair = [exp.column(name.copy(), table=(one.args.get("alias") or one).this.copy()) for one in (left, right)]
            conditions.append(exp.EQ(this=pair[0], expression=pair[1]))
        join.set("using", None)
        join.set("on", exp.and_(*conditions))


def group_by_all_columns(tree: exp.Query) -> None:
    """Groups also by what a primary key in GROUP BY determines, since former rows of a table have no such key."""
    for select in [one for one in tree.find_all(exp.Select) if one.args.get("group")]:
        group, own = select.args["group"], {id(one) for one in sources(select).values()}
        known = {one.sql() for one in group.expressions}
        for column in columns_in(select):
            above = column.find_ancestor(exp.AggFunc, exp.From, exp.Join, exp.Where, exp.Group, exp.Select)
            while isinstance(above, exp.Select) and above is not select:  # inside a subquery
                above = above.find_ancestor(exp.AggFunc, exp.From, exp.Join, exp.Where, exp.Group, exp.Select)
            if above is select and id(source(column)) in own and column.sql() not in known:
                known.add(column.sql())
                group.append("expressions", column.copy())


def _column_names(item: exp.Expr, columns: Mapping[TableName, Sequence[str]]) -> Sequence[str]:
    if isinstance(item, exp.Table):
        return columns.get(TableName.of(item), ())
    query = item.unnest() if isinstance(item, exp.Subquery) else item
    return query.named_selects if isinstance(query, exp.Query) else ()


def _leaves(node: exp.Expr) -> Iterator[exp.Expr]:
    """The tables and subqueries of a FROM item, which may be joins in brackets."""
    if (isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query)) or (
        isinstance(node, exp.Subquery) and isinstance(node.this, exp.Subquery) and not node.alias
    ):
        yield from _leaves(node.this)
    else:
        yield node
    for join in node.args.get("joins") or ():
        yield from _leaves(join.this)
