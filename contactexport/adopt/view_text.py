"""The SELECT of a view as Postgres writes it, parsed, with nested views and CTEs as subqueries.

What Postgres writes is canonical: every table has its schema, and every column its table where there are several.
"""

import re
from dataclasses import dataclass

import psycopg2
import sqlglot
from psycopg2 import sql
from sqlglot import exp
from sqlglot.errors import SqlglotError

from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template
from contactexport.errors import UsageError

DIALECT = "postgres"


@dataclass(frozen=True, order=True)
class TableName:
    """A table, with its schema."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @classmethod
    def of(cls, node: exp.Table) -> "TableName":
        """The name in a SELECT of Postgres' own writing. Only a system table comes without its schema."""
        return cls(node.db or "pg_catalog", node.name)

    @property
    def node(self) -> exp.Table:
        """For a parsed SELECT."""
        return exp.Table(this=exp.to_identifier(self.name, quoted=True), db=exp.to_identifier(self.schema, quoted=True))

    @property
    def identifier(self) -> sql.Identifier:
        """For statements."""
        return sql.Identifier(self.schema, self.name)


def sql_of(node: exp.Expr, *, pretty: bool = False) -> str:
    """The text of an expression or a SELECT: in one line, or `pretty` in several."""
    return node.sql(dialect=DIALECT, comments=False, pretty=pretty)


def parsed(text: str, what: str) -> exp.Expr:
    """The one statement or expression of a text. Raises UsageError that names `what` it is."""
    try:
        return sqlglot.parse_one(text.strip().rstrip(";"), dialect=DIALECT)
    except SqlglotError as error:
        raise UsageError(f"{what} cannot be read as SQL: {said(error)}") from None


def said(error: SqlglotError) -> str:
    """What the parser says, in one line without the codes by which it underlines."""
    return " ".join(re.sub(r"\x1b\[[0-9]*m", "", str(error)).split())[:200]


def select_of(conn: Connection, view: TableName, schema: str) -> exp.Query:
    """The SELECT of a view as Postgres understands it. The search path must be pg_catalog. `schema` is the program's.

    Raises UsageError if the parsed SELECT, written again, is not what Postgres has.
    """
    text = queries("adopt").view_text(conn, schema=view.schema, name=view.name)
    tree = parsed(text, f"The SELECT of {view}")
    again: str | None = None
    if isinstance(tree, exp.Query):
        probe = template("adopt", "make_probe").format(schema=sql.Identifier(schema), select=sql.SQL(sql_of(tree)))
        with conn.cursor() as cursor:
            cursor.execute("SAVEPOINT contactexport_probe")
            try:
                cursor.execute(probe)
                again = queries("adopt").view_text(conn, schema=schema, name="contactexport_probe")
            except psycopg2.ProgrammingError:  # Postgres refuses what is written again
                again = None
            cursor.execute("ROLLBACK TO SAVEPOINT contactexport_probe")
    if not isinstance(tree, exp.Query) or again != text:
        raise UsageError(f"The SELECT of {view} has a part that this program does not understand: write it plainer")
    # The parser knows only the aggregates of the standard, and not jsonb_agg.
    aggregates = {row["name"] for row in queries("adopt").aggregates(conn)}
    for node in list(tree.find_all(exp.Anonymous)):
        if isinstance(node.this, str) and node.this in aggregates:
            node.replace(exp.AnonymousAggFunc(this=node.this, expressions=node.expressions))
    return tree


def expanded_select_of(conn: Connection, view: TableName) -> exp.Query:
    """The same for a view of the program's schema, with nested views and CTEs as subqueries.

    What is left of tables has rows of its own.
    """
    schema = view.schema
    tree = _without_ctes(select_of(conn, view, schema))
    while views := [
        node
        for node in tree.find_all(exp.Table)
        if node.db and queries("adopt").is_view(conn, schema=node.db, name=node.name)
    ]:
        for node in views:
            _put_in_place(node, _without_ctes(select_of(conn, TableName.of(node), schema)))
    return tree


def drop_unused_outputs(tree: exp.Query) -> None:
    """Takes outputs that nobody asks for out of the plain subqueries in FROM: their columns decide nothing there."""
    for subquery in list(tree.find_all(exp.Subquery)):
        around, inner = subquery.find_ancestor(exp.Select), subquery.this
        if not isinstance(inner, exp.Select) or not subquery.alias or around is None:
            continue
        if any(inner.args.get(part) for part in ("distinct", "group", "order", "having", "limit", "offset")):
            continue
        inside = {id(one) for one in inner.find_all(exp.Column)}
        columns = [one for one in around.find_all(exp.Column) if id(one) not in inside]
        used = {one.name for one in columns if one.table in {"", subquery.alias}}
        if not subquery.args["alias"].args.get("columns") and "*" not in used and used:
            inner.set("expressions", [one for one in inner.expressions if one.alias_or_name in used])


def _put_in_place(node: exp.Table, query: exp.Query, columns: list[exp.Expr] | None = None) -> None:
    """Puts a SELECT in the place of a table's name, under the same alias. What is joined to it stays."""
    alias = node.args.get("alias") or exp.TableAlias(this=node.this.copy())
    if columns and not alias.args.get("columns"):
        alias = exp.TableAlias(this=alias.this.copy(), columns=[one.copy() for one in columns])
    node.replace(exp.Subquery(this=query.copy(), alias=alias.copy(), joins=node.args.get("joins")))


def _without_ctes(tree: exp.Query) -> exp.Query:
    while clause := tree.find(exp.With):
        if clause.args.get("recursive"):
            raise UsageError("A query WITH RECURSIVE cannot be watched: it does not tell which rows lead to a contact")
        owner = clause.parent
        clause.pop()
        for cte in reversed(clause.expressions):  # a later one may use an earlier one
            for scope in (owner, *(one for one in clause.expressions if one is not cte)):
                for node in [one for one in scope.find_all(exp.Table) if not one.db and one.name == cte.alias]:
                    _put_in_place(node, cte.this, cte.args["alias"].args.get("columns"))
    return tree
