"""What a SELECT must not have, because contacts would depend on rows that no equality tells, or on no rows at all."""

from sqlglot import exp

from contactexport.adopt.from_clause import chosen_rows, columns_in, is_correlated, source
from contactexport.adopt.view_text import sql_of
from contactexport.errors import UsageError

OF_TABLES = {
    "only": "FROM ONLY {name} cannot be watched: leave ONLY out",
    "sample": "TABLESAMPLE of {name} cannot be watched: it reads other rows each time",
    "columns": "{alias}: an alias with names of columns cannot be watched: name it without these",
}
# Where a condition that is NULL counts as one that is false.
NULL_IS_FALSE = (exp.Where, exp.Join, exp.Having)


def refuse_unsupported(tree: exp.Query) -> None:
    """Raises UsageError that names the first such part of a SELECT, as Postgres writes it."""
    for join in tree.find_all(exp.Join):
        if join.side in {"FULL", "RIGHT"}:
            raise UsageError(f"{join.side} JOIN cannot be watched: write it as LEFT JOIN")
    for limit in tree.find_all(exp.Limit, exp.Fetch, exp.Offset):
        if not is_correlated(limit.find_ancestor(exp.Select)):
            raise UsageError("LIMIT cannot be watched where the rows of one contact are not told by an equality")
    if tree.find(exp.Lock) is not None:
        raise UsageError("FOR UPDATE and the like cannot be watched: an export must not lock rows")
    for column in columns_in(tree):
        if source(column) is None:
            raise UsageError(
                f"{sql_of(column)}: it is not known of which table this column is. An alias of several joined tables "
                "cannot be watched: name the table itself"
            )
    _refuse_null_in_subquery(tree)


def refuse_odd_tables(tree: exp.Query) -> None:
    """Raises UsageError for a table in FROM that is not read as a whole, or has other names of columns."""
    for table in tree.find_all(exp.Table):
        parts = {"only": table.args.get("only"), "sample": table.args.get("sample")}
        parts["columns"] = table.name and table.args.get("alias") and table.args["alias"].columns
        for part in [name for name, is_there in parts.items() if is_there]:
            raise UsageError(OF_TABLES[part].format(name=table.name, alias=table.alias_or_name))


def _refuse_null_in_subquery(tree: exp.Query) -> None:
    """A row with NULL makes `a IN (SELECT …)` NULL for every `a` that was not found. It must count as false."""
    for condition, _, _ in chosen_rows(tree):
        below, above = condition, condition.parent
        while isinstance(above, (exp.And, exp.Or, exp.Paren)):
            below, above = above, above.parent
        if isinstance(above, NULL_IS_FALSE) or (isinstance(above, exp.If) and below.arg_key == "this"):
            continue
        if isinstance(above, exp.Not):
            raise UsageError("NOT IN (SELECT …) cannot be watched: write it as NOT EXISTS (SELECT …)")
        raise UsageError("IN (SELECT …) as a value cannot be watched: write it as EXISTS (SELECT …)")
