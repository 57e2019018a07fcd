"""Makes the views `contact`, `contact_origin` and `contact_unreadable` of a plan."""

import psycopg2
from psycopg2 import sql
from sqlglot import exp

from contactexport.adopt import failing_values
from contactexport.adopt.failing_values import Failing, Guard
from contactexport.adopt.lineage import Lineage
from contactexport.adopt.models import Plan
from contactexport.adopt.one_row import OneRow
from contactexport.adopt.select import contact_select, membership_select, with_an_origin
from contactexport.adopt.statements import Statements
from contactexport.adopt.unreadable import failures, put_in_place
from contactexport.adopt.view_text import TableName, expanded_select_of, select_of, sql_of
from contactexport.adopt.watched import OF_CONTACTS, OF_MEMBERSHIPS, Views
from contactexport.db.queries import queries
from contactexport.errors import UsageError

KEY_TYPES = {"smallint": "bigint", "integer": "bigint", "bigint": "bigint", "uuid": "uuid"}
ORIGIN_TYPES = {"origin_kind": {"text"}, "origin_id": {"integer", "smallint"}}
# What COPY cannot write as a value of a cell, or only as a number that means nothing outside of the database.
PSEUDO_TYPES = frozenset({"record", "unknown", "void", "internal", "cstring"})


def make_views(run: Statements, plan: Plan) -> tuple[Views, str]:
    """Makes them, and returns what they depend on, with the type of keys in the log.

    Raises UsageError that names what is wrong with the plan. From here on names are found in pg_catalog only.
    """
    conn, schema = run.conn, run.schema
    contact, membership = TableName(schema, "contact"), TableName(schema, "contact_origin")
    queries("adopt").set_path(conn, path=queries("adopt").users_path(conn, schema=schema))
    _make(run, contact, contact_select(plan), quietly=True)
    members = membership_select(plan, contact.node)
    memberships: exp.Query | None = None
    if members is not None:
        _make(run, membership, members, quietly=True)
        queries("adopt").set_path(conn, path="pg_catalog")
        memberships = select_of(conn, membership, schema)
        run.execute("drop_view", quietly=True, view=membership.identifier)
    queries("adopt").set_path(conn, path="pg_catalog")
    # Before functions of our own hide what it calls.
    if found := queries("adopt").unsteady_function(conn, schema=schema, name="contact"):
        raise UsageError(
            f"The SELECT calls {found}: its value changes without a change of any row, so it is not logged"
        )
    key_type = _check_columns(run, plan)
    tree = _whole_select(run, contact)
    if plan.view is not None and plan.origin.expression is None:
        tree = with_an_origin(tree)
    of_members = _guarded(run, memberships, OF_MEMBERSHIPS) if memberships is not None else []
    guards = _guarded(run, tree, OF_CONTACTS, len(of_members))
    run.execute("drop_view", quietly=True, view=contact.identifier)
    for guard in (*of_members, *guards):
        for made in failing_values.functions(conn, schema, guard):
            run.run(made)
        put_in_place(schema, guard)
    _make(run, contact, sql_of(tree, pretty=True))
    if memberships is not None:
        _make(run, membership, sql_of(memberships))
    failed = [sql_of(one) for guard in guards for one in failures(tree, schema, guard)]
    if failed:
        _make(run, TableName(schema, "contact_unreadable"), " UNION ALL ".join(failed))
    views = Views(conn, schema, memberships=members is not None)
    OneRow(conn, views.contacts).require()
    return views, key_type


def _make(run: Statements, view: TableName, select: str, *, quietly: bool = False) -> None:
    try:
        run.execute("make_view", quietly=quietly, view=view.identifier, select=sql.SQL(select))
    except psycopg2.ProgrammingError as error:
        raise UsageError(f"Postgres refuses the SELECT: {' '.join(str(error.diag.message_primary).split())}") from None


def _guarded(run: Statements, tree: exp.Query, outputs: tuple[str, ...], first: int = 0) -> list[Guard]:
    """What of a SELECT may fail, that is to be put into functions. The first of `outputs` is the key."""
    return failing_values.guards(run.conn, run.schema, Lineage(tree, outputs[0]), frozenset(outputs), first)


def _whole_select(run: Statements, contact: TableName) -> exp.Query:
    """The SELECT of the contacts. If something may fail in views or CTEs that it reads, it has their SELECTs."""
    expanded = expanded_select_of(run.conn, contact)
    if any(True for _ in Failing(run.conn, run.schema, Lineage(expanded, "id")).nodes()):
        return expanded
    return select_of(run.conn, contact, run.schema)


def _check_columns(run: Statements, plan: Plan) -> str:
    """The type of keys in the log. Raises UsageError unless the view has all columns, of fitting types."""
    found = {
        row["name"]: row["type"] for row in queries("adopt").column_types(run.conn, schema=run.schema, name="contact")
    }
    if "id" not in found:
        raise UsageError("The SELECT has no column id: name the contact's key so")
    if found["id"] not in KEY_TYPES:
        raise UsageError(f"The key is of type {found['id']}: smallint, integer, bigint or uuid is expected")
    for name, types in ORIGIN_TYPES.items() if plan.origin.through is None else ():
        if found.get(name) not in types:
            was = f"is of type {found[name]}" if name in found else "is missing"
            raise UsageError(f"The column {name} of the SELECT {was}: {' or '.join(sorted(types))} is expected")
    for field in plan.fields:
        if field.column not in found:
            raise UsageError(f"Field {field.id}: the SELECT has no column {field.column}")
        if found[field.column] in PSEUDO_TYPES:
            raise UsageError(
                f"Field {field.id}: {field.column} is of type {found[field.column]}, which no file can hold"
            )
    return KEY_TYPES[found["id"]]
