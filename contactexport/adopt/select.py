"""From a plan to the SELECTs of the views `contact` and `contact_origin`."""

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from contactexport.adopt.models import FieldMapping, Plan
from contactexport.adopt.view_text import DIALECT, parsed, sql_of
from contactexport.errors import UsageError

RESERVED = frozenset({"id", "origin_kind", "origin_id"})
MANY_CHOICES = frozenset({"multichoice", "interests"})


def contact_select(plan: Plan) -> str:
    """The SELECT of `contact`, with names as the user has written them. Raises UsageError for SQL that is none."""
    seen = set(RESERVED)
    for field in plan.fields:
        if field.column in seen:
            raise UsageError(f"Field {field.id}: the column {field.column} is there already")
        seen.add(field.column)
    if plan.view is not None:
        return _of_users_view(plan)
    table = _table(plan.table)
    named = table.args.get("alias") or table
    key = exp.Column(this=exp.to_identifier(plan.key, quoted=True), table=named.this.copy())
    query = exp.Select().select(exp.alias_(key, "id", quoted=True))
    if plan.origin.through is None:
        query = query.select(*_origin_outputs(plan), copy=False)
    for field in plan.fields:
        value = _value(field)
        query = query.select(exp.alias_(value, field.column, quoted=True), copy=False)
    query = query.from_(table)
    for join in plan.joins:
        condition = parsed(join.condition, f"The condition of the join with {join.table}")
        query = query.join(_table(join.table), on=condition, join_type="left")
    if plan.where is not None:
        query = query.where(parsed(plan.where, "The condition (--where)"))
    return sql_of(query)


def membership_select(plan: Plan, contact: exp.Table) -> str | None:
    """The SELECT of `contact_origin`. None if each contact has one origin. Who has no membership is of api 0.

    `contact` is the program's view.
    """
    if plan.origin.through is None:
        return None
    name, key, origin = plan.origin.through
    first, second = _table(name, "m"), _table(name, "m")
    member = exp.column(key, "m", quoted=True)
    # An id that is no integer is that of no origin.
    number = exp.cast(exp.column(origin, "m", quoted=True), "int")
    belongs = exp.select(
        exp.alias_(member, "contact_id"),
        exp.alias_(_text(plan.origin.kind), "origin_kind"),
        exp.alias_(number.copy(), "origin_id"),
    )
    belongs = belongs.from_(first).where(member.copy().is_(exp.null()).not_(), number.copy().is_(exp.null()).not_())
    same = exp.EQ(this=member.copy(), expression=exp.column("id", "c", quoted=True))
    any_membership = exp.select("1").from_(second).where(same, number.copy().is_(exp.null()).not_())
    alone = exp.select(
        exp.alias_(exp.column("id", "c", quoted=True), "contact_id"),
        exp.alias_(_text("api"), "origin_kind"),
        exp.alias_(exp.cast(exp.Literal.number(0), "int"), "origin_id"),
    )
    alone = alone.from_(exp.alias_(contact, "c", table=True)).where(exp.Exists(this=any_membership).not_())
    return sql_of(exp.union(belongs, alone, distinct=False))


def with_an_origin(tree: exp.Query) -> exp.Query:
    """The SELECT, as Postgres writes it, with api 0 for contacts whose origin is NULL or of another kind.

    The log has an origin for each contact, so that no statement of the table's users may fail for want of one.
    """
    found = {one.alias_or_name: one for one in tree.selects}
    if not {"origin_kind", "origin_id"} <= found.keys():
        return tree
    if not isinstance(tree, exp.Select):
        source = exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("v")))
        tree = exp.select(*(exp.column(name, "v", quoted=True) for name in found)).from_(source)
        found = {one.alias_or_name: one for one in tree.selects}
    kind, number = found["origin_kind"].unalias(), found["origin_id"].unalias()
    if isinstance(number, exp.Literal) and isinstance(kind, exp.Cast) and kind.this.name in {"form", "api"}:
        return tree
    known = exp.and_(
        exp.In(this=kind.copy(), expressions=[exp.Literal.string("form"), exp.Literal.string("api")]),
        number.copy().is_(exp.null()).not_(),
    )
    safe_kind = exp.Case().when(known, kind.copy()).else_(_text("api"))
    safe_number = exp.Case().when(known.copy(), number.copy()).else_(exp.Literal.number(0))
    for name, safe in (("origin_kind", safe_kind), ("origin_id", safe_number)):
        found[name].replace(exp.alias_(safe, name, quoted=True))
    return tree


def _of_users_view(plan: Plan) -> str:
    """The user's SELECT, with the origin that the plan tells if it has a rule."""
    tree = parsed(plan.view or "", "Your own SELECT")
    if not isinstance(tree, exp.Query):
        raise UsageError("Your own SELECT must be one statement")
    if plan.origin.expression is None and plan.origin.through is None:
        return sql_of(tree)
    source = exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("v")))
    names = ["id", *(field.column for field in plan.fields)]
    query = exp.select(*(exp.column(name, "v", quoted=True) for name in names)).from_(source)
    if plan.origin.expression is not None:
        query = query.select(*_origin_outputs(plan))
    return sql_of(query)


def _origin_outputs(plan: Plan) -> list[exp.Expr]:
    rule = plan.origin
    zero = exp.cast(exp.Literal.number(0), "int")
    if rule.expression is None:
        return [exp.alias_(_text("api"), "origin_kind"), exp.alias_(zero, "origin_id")]
    number = exp.cast(exp.Paren(this=parsed(rule.expression, "The origin")), "int")
    none = number.copy().is_(exp.null())
    kind = exp.Case().when(none, _text("api")).else_(_text(rule.kind))
    return [exp.alias_(kind, "origin_kind"), exp.alias_(exp.Coalesce(this=number, expressions=[zero]), "origin_id")]


def _value(field: FieldMapping) -> exp.Expr:
    """The expression of a field. Stored values that stand for choices become the ids of these."""
    what = f"The expression of field {field.id}"
    value = parsed(field.expression, what)
    if isinstance(value, exp.Query):
        value = exp.Subquery(this=value)
    if not field.values:
        return value
    if field.application_type in MANY_CHOICES:
        raise UsageError(f"{what}: values of a field with many choices cannot be mapped, an array of ids is expected")
    choice = exp.Case(this=exp.cast(exp.Paren(this=value), "text"))
    for stored, number in field.values.items():
        choice = choice.when(exp.Literal.string(stored), exp.Literal.number(number))
    return choice


def _table(text: str, alias: str | None = None) -> exp.Table:
    try:
        source = sqlglot.parse_one(text, dialect=DIALECT, into=exp.Table)
    except SqlglotError:
        source = None
    if not isinstance(source, exp.Table) or source.args.get("joins"):
        raise UsageError(f"{text} is not the name of a table")
    if alias is not None:
        source.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    table: exp.Table = source
    return table


def table_of(text: str) -> str:
    """The name of a table without its alias, as Postgres looks for it."""
    table = _table(text)
    table.set("alias", None)
    return sql_of(table)


def _text(value: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(value), "text")
