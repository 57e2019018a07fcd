"""Whether a plan can be carried out: its fields, its SELECT as a whole, the tables it reads and the rights on them."""

from dataclasses import dataclass

from psycopg2 import sql

from contactexport.adopt.inspect import Inspection
from contactexport.adopt.models import FieldMapping, Plan
from contactexport.adopt.propose import MULTIPLE_CHOICE, RESERVED, SINGLE_CHOICE
from contactexport.adopt.sql_text import select_parts
from contactexport.db.queries import queries, template
from contactexport.errors import RightsMissing, UsageError

LONGEST_NAME = 63
SHOWN_VALUES = 8
UNWATCHABLE = {
    "f": "a foreign table: changes are made where it is stored, and no trigger here sees them",
    "m": "a materialized view: it changes by REFRESH only, which no trigger sees",
    "S": "a sequence, which has no triggers",
}


@dataclass(frozen=True)
class _Base:
    """A table that the SELECT reads, by whatever view is between. `kind` and `persistence` are as in pg_class."""

    oid: int
    name: str
    kind: str
    persistence: str
    through: str | None
    lacking: list[str]
    hides_rows: bool


def verify(looking: Inspection, plan: Plan) -> None:
    """Raises UsageError that names the field, table or column, and RightsMissing that names the right."""
    if not plan.fields:
        raise UsageError("There is no field to export: name one with --field")
    _require_different(plan)
    former = {one.id for one in looking.former.fields} if looking.former is not None else set()
    for one in plan.fields:
        taken = looking.taken.get(one.id)
        if taken is not None and one.id not in former:
            raise UsageError(
                f'The field id {one.id} ({one.expression}) is taken: it is "{taken.name}", column {taken.column_name}. '
                f"Choose another id, or `flask fields remove {one.id}`"
            )
        _require_type(looking, plan, one)
    looking.on_step("reading the SELECT")
    require_watchable(looking, whole_select(looking, plan), "The SELECT of the contacts")
    # No index tells whether ids repeat in a SELECT, or in tables that inherit.
    if plan.view is not None or plan.joins or looking.table(plan.table, "TABLE").has_children:
        looking.on_step("counting the rows of each contact")
        repeated = queries("adopt_inspect").repeated_id(looking.conn)
        if repeated is not None and repeated["id"] is None:
            raise UsageError(f"The key {plan.key} is NULL in {repeated['rows']} rows: leave them out with --where")
        if repeated is not None:
            remedy = "join tables on columns that are unique" if plan.joins else "each contact must have one"
            raise UsageError(f"The contact {repeated['id']} has {repeated['rows']} rows: {remedy}")


def require_watchable(looking: Inspection, select: sql.Composable, what: str) -> None:
    """Makes the view of a SELECT. Raises UsageError for a table whose changes cannot be seen, and RightsMissing."""
    looking.make_view(select, what)
    bases = [_Base(**row) for row in queries("adopt_inspect").base_tables(looking.conn)]
    if not bases:
        raise UsageError(f"{what} reads no table of yours: there are no changes to see")
    for base in bases:
        by = f", which {base.through} reads," if base.through else ""
        if base.kind in UNWATCHABLE:
            raise UsageError(f"{base.name}{by} is {UNWATCHABLE[base.kind]}")
        if base.persistence == "t":
            raise UsageError(f"{base.name}{by} is a temporary table: it ends with the session")
        if base.lacking:
            raise RightsMissing(
                f"The role {looking.role} lacks a right on {base.name}{by.rstrip(',')}: "
                f"GRANT {', '.join(base.lacking)} ON {base.name} TO {looking.role}"
            )
        if base.hides_rows:
            raise RightsMissing(
                f"Row-level security may hide rows of {base.name}{by} from the role {looking.role}: "
                f"ALTER ROLE {looking.role} BYPASSRLS"
            )


def key_expression(looking: Inspection, plan: Plan) -> str:
    """The key in the SELECT."""
    if plan.view is not None:
        return "contact.id"
    table = looking.table(plan.table, "TABLE")
    return f"{table.quoted_name}.{table.column(plan.key).quoted}"


def _require_different(plan: Plan) -> None:
    by_id, by_column = dict[int, FieldMapping](), dict[str, FieldMapping]()
    for one in plan.fields:
        if (first := by_id.setdefault(one.id, one)) is not one:
            raise UsageError(f"The field {one.id} is mapped twice: to {first.expression} and to {one.expression}")
        if (first := by_column.setdefault(one.column, one)) is not one:
            raise UsageError(f"The column {one.column} is named twice: by the fields {first.id} and {one.id}")
        if one.column in RESERVED or len(one.column.encode()) > LONGEST_NAME:
            raise UsageError(
                f"The field {one.id} cannot have the column {one.column}: another name than {', '.join(RESERVED)} "
                f"expected, of {LONGEST_NAME} bytes at most"
            )


def _require_type(looking: Inspection, plan: Plan, field: FieldMapping) -> None:
    """Raises UsageError if a file cannot have such values, or if they are no choices where choices are expected."""
    what = f"The field {field.id} ({field.expression})"
    found = looking.type_of(plan, field.expression, what)
    if found.type_kind == "p":
        cast = f"({field.expression})::text" if found.base_type == "record" else "an expression of another type"
        raise UsageError(f"{what} has the type {found.type}, which COPY cannot write from a view: try {cast}")
    if field.values:
        unknown = [choice for choice in field.values.values() if choice not in field.choices]
        if unknown and field.application_type in SINGLE_CHOICE | MULTIPLE_CHOICE:
            known = ", ".join(f"{number} ({labels.get('en', '')})" for number, labels in field.choices.items())
            raise UsageError(f"{what} has no choice {unknown[0]}. Its choices are {known[:200] or 'none'}")
    elif field.application_type in SINGLE_CHOICE and not found.is_whole_number:
        values = looking.values(plan, field.expression) or ()
        some = ", ".join(values[:SHOWN_VALUES]) + (", …" if len(values) > SHOWN_VALUES else "")
        raise UsageError(
            f"{what} is a choice, and its values{f' ({some})' if some else ''} are not recognised: say what they mean, "
            f"such as --field {field.id}={field.expression}:{values[0] if values else 'a'}=1"
        )
    elif field.application_type in MULTIPLE_CHOICE and found.base_type not in {"integer[]", "smallint[]", "bigint[]"}:
        raise UsageError(
            f"{what} has the type {found.type}, an array of whole numbers expected: the ids of its choices"
        )


def whole_select(looking: Inspection, plan: Plan) -> sql.Composed:
    """The SELECT with everything that the plan reads, to see from which tables it comes."""
    parts = [sql.SQL(f"{key_expression(looking, plan)} AS id")]
    parts += [sql.SQL(f"({one.expression}\n) AS f{one.id}") for one in plan.fields]
    if plan.origin.expression is not None:
        parts.append(sql.SQL(f"({plan.origin.expression}\n) AS origin"))
    others = [three[0] for three in (plan.origin.through, plan.origin.names) if three is not None]
    for number, table in enumerate(others):
        name = sql.Identifier(f"o{number}")
        parts.append(template("adopt_inspect", "rows_of").format(table=sql.SQL(table), name=name))
    return template("adopt_inspect", "whole_select").format(
        outputs=sql.SQL(", ").join(parts),
        tables=sql.SQL(select_parts(plan)),
        condition=sql.SQL(f"({plan.where}\n)" if plan.where else "true"),
    )
