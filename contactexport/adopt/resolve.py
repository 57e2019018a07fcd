"""Turns what was asked for into a plan that can be carried out: every name is found, every expression is understood."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql

from contactexport.adopt.inspect import Column, Inspection, Table
from contactexport.adopt.models import FieldWish, Join, OriginRule, Plan
from contactexport.adopt.propose import propose
from contactexport.adopt.sql_text import require_piece, split_alias
from contactexport.adopt.verify import UNWATCHABLE, key_expression, require_watchable, verify
from contactexport.errors import UsageError

TABLES = ("r", "p")
NO_TABLES = UNWATCHABLE | {"v": "a view: write a SELECT of it that gives id into a file, and use --view FILE"}


@dataclass(frozen=True)
class Prepared:
    """A plan that is checked. `notes` are what its user should know, such as columns that are left out."""

    plan: Plan
    notes: Sequence[str] = ()


def prepare(looking: Inspection, plan: Plan, wishes: Sequence[FieldWish] = ()) -> Prepared:
    """Finds the tables of a plan, proposes its fields unless it has some, and checks everything.

    Raises UsageError in one line that names the option, the table, the column or the key.
    """
    looking.on_step("looking at the tables")
    if plan.view is not None:
        found = replace(plan, key="id")
        _require_view(looking, found)
    else:
        table = looking.table(plan.table, "TABLE")
        _require_table(table, "TABLE")
        joins = []
        for join in plan.joins:
            name, alias = split_alias(join.table, "--join")
            joined = looking.table(name, "--join")
            _require_table(joined, "--join", or_view=True)
            shown = f"{joined.qualified} AS {alias}" if alias else joined.qualified
            joins.append(Join(shown, require_piece(join.condition, "--join")))
        found = replace(plan, table=table.qualified, key=key_of(table, plan.key), joins=tuple(joins))
        for join in joins:
            looking.check_condition(found, join.condition, f"--join {join.table}")
    if plan.where is not None:
        looking.check_condition(found, require_piece(plan.where, "--where"), "--where")
    found = replace(found, origin=_origin(looking, found))
    notes: Sequence[str] = ()
    if not found.fields:
        proposal = propose(looking, found, wishes)
        found, notes = replace(found, fields=tuple(proposal.fields)), proposal.notes
    verify(looking, found)
    return Prepared(found, notes)


def key_of(table: Table, asked: str) -> str:
    """The name of the column that tells contacts apart. Raises UsageError unless it is unique, an integer or a UUID."""
    if not asked and table.primary is None:
        unique = f". Unique are: {', '.join(table.unique)}" if table.unique else ", and no column is unique by itself"
        raise UsageError(f"{table.qualified} has no primary key of one column{unique}. Name the key with --key")
    key = table.column(asked or table.primary or "")
    if key.name not in table.unique:
        others = f", such as {', '.join(table.unique)}" if table.unique else ""
        raise UsageError(
            f"The key {table.qualified}.{key.name} is not unique: a primary key or a unique index on this column alone "
            f"expected{others}"
        )
    if not key.required:
        raise UsageError(f"The key {table.qualified}.{key.name} may be NULL: make it NOT NULL, or choose another key")
    _require_key_type(key, f"{table.qualified}.{key.name}")
    return key.name


def _require_key_type(key: Column, name: str) -> None:
    if not key.is_whole_number and key.base_type != "uuid":
        raise UsageError(f"The key {name} has the type {key.type}: smallint, integer, bigint or uuid expected")


def _require_view(looking: Inspection, plan: Plan) -> None:
    require_watchable(looking, sql.SQL(plan.view or ""), "--view")
    outputs = {one.name: one for one in looking.outputs()}
    if "id" not in outputs:
        raise UsageError(f"--view: the SELECT gives no column id. It gives {', '.join(outputs)}")
    _require_key_type(outputs["id"], "id of the SELECT")
    given = [name for name in ("origin_kind", "origin_id") if name in outputs]
    if len(given) == 1:
        raise UsageError(
            f"--view: the SELECT gives {given[0]} only: origin_kind and origin_id expected, or none of them"
        )
    if not given and not (plan.origin.expression or plan.origin.through):
        raise UsageError(
            "--view: the SELECT does not tell the origin: add it, such as 'api' AS origin_kind, 0 AS origin_id, "
            "or name --origin or --origin-through"
        )
    if given and (plan.origin.expression or plan.origin.through):
        raise UsageError("--view: the SELECT gives origin_kind and origin_id: leave --origin and --origin-through out")
    if given and not outputs["origin_id"].is_whole_number:
        raise UsageError(f"--view: origin_id has the type {outputs['origin_id'].type}, a whole number expected")


def _origin(looking: Inspection, plan: Plan) -> OriginRule:
    rule = plan.origin
    if rule.expression is not None and rule.through is not None:
        raise UsageError("--origin with an expression and --origin-through exclude each other")
    if rule.expression is not None:
        what = f"--origin {rule.kind}={rule.expression}"
        found = looking.type_of(plan, require_piece(rule.expression, what), what)
        if not found.is_whole_number:
            raise UsageError(f"{what} has the type {found.type}, a whole number expected")
    if rule.through is not None:
        table, contact, origin_id = _columns(looking, rule.through, "--origin-through")
        _require_whole_number(table, origin_id)
        what = f"--origin-through {table.qualified}.{contact.name}"
        looking.check_comparable(
            plan, f"{table.qualified} AS m", f"m.{contact.quoted}", key_expression(looking, plan), what
        )
        rule = replace(rule, through=(table.qualified, contact.name, origin_id.name))
    if rule.names is not None:
        table, origin_id, name = _columns(looking, rule.names, "--origin-names")
        _require_whole_number(table, origin_id)
        rule = replace(rule, names=(table.qualified, origin_id.name, name.name))
    return rule


def _columns(looking: Inspection, named: tuple[str, str, str], what: str) -> tuple[Table, Column, Column]:
    table = looking.table(named[0], what)
    _require_table(table, what)
    return table, table.column(named[1]), table.column(named[2])


def _require_table(table: Table, what: str, *, or_view: bool = False) -> None:
    if table.kind not in TABLES and not (or_view and table.kind == "v"):
        raise UsageError(f"{what}: {table.qualified} is {NO_TABLES.get(table.kind, 'no table')}")


def _require_whole_number(table: Table, column: Column) -> None:
    if not column.is_whole_number:
        raise UsageError(f"{table.qualified}.{column.name} has the type {column.type}, a whole number expected")
