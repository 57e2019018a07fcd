"""Proposes fields for columns: known names to system fields, the rest to custom fields with a type by the column's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from contactexport.adopt.inspect import Column, Inspection, ValueType
from contactexport.adopt.models import FieldMapping, FieldWish, Plan
from contactexport.adopt.recognise import recognised
from contactexport.adopt.sql_text import columns_in, require_piece, split_alias, told_name
from contactexport.errors import UsageError
from contactexport.system_fields import FIRST_CUSTOM_ID, SystemField, find, readable

# Fields that the program or its operators fill, in the original as here.
NEVER_PROPOSED = {0, 27, 28, 29, 30, 32, 33, 34, 36, 47}
OPT_IN = 31
SINGLE_CHOICE, MULTIPLE_CHOICE = {"singlechoice"}, {"multichoice", "interests"}
RESERVED = ("id", "origin_kind", "origin_id")
SECRET = re.compile(r"passw|pwd|secret|token|hash|salt|api_?key|otp|session", re.IGNORECASE)
UNREADABLE = {"bytea", "tsvector", "tsquery", "xid", "tid", "oid"}
YES_NO = {
    1: {"en": "Yes", "de": "Ja", "fr": "Oui", "hu": "Igen", "es": "Sí"},
    2: {"en": "No", "de": "Nein", "fr": "Non", "hu": "Nem", "es": "No"},
}
TRUE_FALSE = {"true": 1, "false": 2}


@dataclass(frozen=True)
class Candidate:
    """A column that could be a field, and its expression in the SELECT."""

    column: Column
    expression: str


@dataclass
class Proposal:
    """The fields found so far for a plan. `notes` say which columns are not exported, and why."""

    looking: Inspection
    plan: Plan
    fields: list[FieldMapping] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_wish(self, wish: FieldWish) -> None:
        """Adds the field of a `--field`. Raises UsageError."""
        what = f"--field {wish.name}={wish.expression}"
        system = find(wish.name)
        if system is None and not (wish.name.isascii() and wish.name.isdigit() and int(wish.name) < 2**31):
            raise UsageError(f"{what}: {wish.name} is neither the id of a field nor a name of a system field")
        expression = require_piece(wish.expression, what)
        if self.plan.view is not None and (wish.values or told_name(expression) is None):
            raise UsageError(f"{what}: with --view name a column of the SELECT, and translate its values there")
        of_type = self.looking.type_of(self.plan, expression, what)
        if system is not None:
            self.fields.append(
                self._system(system, expression, wish.values or self._values(system, expression, of_type))
            )
        else:
            self.fields.append(self._custom(int(wish.name), expression, of_type, wish.values))

    def add_column(self, candidate: Candidate) -> None:
        """Adds the field of a column, or a note why there is none."""
        column = candidate.column
        if SECRET.search(column.name):
            self.notes.append(f"{candidate.expression} is left out, because its name is that of a secret")
        elif column.base_type in UNREADABLE:
            self.notes.append(f"{candidate.expression} is left out, because its type is {column.type}")
        elif (system := self.fitting(column)) is None:
            self.fields.append(self._custom(self._free_id(candidate.expression), candidate.expression, column, {}))
        else:
            values = self._values(system, candidate.expression, column)
            if system.application_type in SINGLE_CHOICE and not values and not column.is_whole_number:
                self.fields.append(self._custom(self._free_id(candidate.expression), candidate.expression, column, {}))
            else:
                self.fields.append(self._system(system, candidate.expression, values))

    def fitting(self, column: Column) -> SystemField | None:
        """The system field by the column's name, if it is free and the column has such values."""
        found = find(column.name) if not column.name.isdigit() else None
        if found is None or found.id in NEVER_PROPOSED or any(one.id == found.id for one in self.fields):
            return None
        categories = {"birthdate": "DS", "date": "DS", "special": "DBN", "singlechoice": "SEB"}
        return found if column.category in categories.get(found.application_type, "SNEI") else None

    def _values(self, system: SystemField, expression: str, of_type: ValueType) -> Mapping[str, int]:
        """How stored values become choices. Empty if they need not, or are not recognised."""
        if system.id == OPT_IN and of_type.category == "B" and self.plan.view is None:
            return TRUE_FALSE
        if self.plan.view is not None or system.application_type not in SINGLE_CHOICE or of_type.category not in "SE":
            return {}
        return recognised(system.id, self.looking.values(self.plan, expression) or ()) or {}

    def _system(self, system: SystemField, expression: str, values: Mapping[str, int]) -> FieldMapping:
        return FieldMapping(
            system.id,
            system.name,
            system.application_type,
            self._free_column(expression, system.column_name, system.id),
            expression,
            values,
            system.names,
            system.choices,
            system.exportable,
        )

    def _custom(self, number: int, expression: str, of_type: ValueType, values: Mapping[str, int]) -> FieldMapping:
        taken = self.looking.taken.get(number)
        told = told_name(expression)
        name = readable(told) if told else taken.name if taken else f"Field {number}"
        choices: Mapping[int, Mapping[str, str]] = {}
        for value, choice in values.items():
            choices = {choice: {"en": value}, **choices}
        if of_type.category == "B" and not values and self.plan.view is None:
            values, choices = TRUE_FALSE, YES_NO
        kind = "singlechoice" if values else custom_type(of_type, told or "")
        column = self._free_column(expression, told or f"field_{number}", number)
        return FieldMapping(number, name, kind, column, expression, values, {"en": name}, dict(sorted(choices.items())))

    def _free_id(self, expression: str) -> int:
        """The id that the expression has already, or else the first one that nobody has."""
        former = self.looking.former.fields if self.looking.former is not None else ()
        known = next((one.id for one in former if one.expression == expression and one.id >= FIRST_CUSTOM_ID), None)
        used = {one.id for one in (*self.fields, *former)} | set(self.looking.taken)
        if known is not None and all(one.id != known for one in self.fields):
            return known
        return next(number for number in range(FIRST_CUSTOM_ID, 2**31) if number not in used)

    def _free_column(self, expression: str, name: str, number: int) -> str:
        """The name in the view. With a SELECT of the user's own it is the one that this gives."""
        if self.plan.view is not None:
            return told_name(expression) or name
        used = {*RESERVED, *(one.column for one in self.fields)}
        return name if name not in used and len(name.encode()) < 64 else f"field_{number}"


def propose(looking: Inspection, plan: Plan, wishes: Sequence[FieldWish]) -> Proposal:
    """The fields of a plan whose tables are resolved: those of the wishes, or if there are none, of all columns.

    Raises UsageError that names the wish or the column.
    """
    proposal = Proposal(looking, plan)
    for wish in wishes:
        proposal.add_wish(wish)
    for candidate in candidates(looking, plan) if not wishes else ():
        proposal.add_column(candidate)
    return proposal


def custom_type(of_type: ValueType, name: str) -> str:
    """The type that a custom field of such values has in the original."""
    length = getattr(of_type, "max_length", None)
    if of_type.category == "S":
        if re.search("url|website|homepage", name, re.IGNORECASE):
            return "url"
        return "longtext" if length is None or length > 60 else "shorttext"
    if of_type.category == "N":
        return "numeric"
    if of_type.base_type == "date":
        return "date"
    return "largetext" if of_type.category in "AC" or of_type.base_type in {"json", "jsonb", "xml"} else "shorttext"


def candidates(looking: Inspection, plan: Plan) -> Iterator[Candidate]:
    """All columns but keys and those of the origin and the joins' conditions."""
    conditions = [*filter(None, [plan.origin.expression]), *(join.condition for join in plan.joins)]
    left_out = {name for condition in conditions for name in columns_in(condition)}
    if plan.view is not None:
        left_out.update(RESERVED)
        yield from (Candidate(one, one.quoted) for one in looking.outputs() if one.name not in left_out)
        return
    for text, alias in [(plan.table, ""), *(split_alias(join.table, "--join") for join in plan.joins)]:
        table = looking.table(text, "--join")
        for one in table.columns:
            is_key = one.name == plan.key if table.qualified == plan.table else one.name in table.unique
            if not is_key and one.name not in left_out:
                yield Candidate(one, f"{alias or table.quoted_name}.{one.quoted}" if plan.joins else one.quoted)
