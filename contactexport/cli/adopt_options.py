"""Reads the values of the options of `flask contacts adopt`, each with an error that shows what is expected."""

import re

from contactexport.adopt.models import FieldWish, OriginRule
from contactexport.adopt.sql_text import unquoted
from contactexport.errors import UsageError

FIELD_EXPECTED = "ID=EXPRESSION[:VALUE=CHOICE,…] expected, such as 1=given_name or 5=sex:m=1,f=2"
ORIGIN_EXPECTED = "form=COLUMN or api=COLUMN expected, such as form=signup_form"
COLUMNS_EXPECTED = "TABLE(COLUMN, COLUMN) expected, such as"
# A value is anything without comma, colon and equals sign, or in quotes. `::` is a cast.
VALUE = r"(?:'(?:[^']|'')*'|[^,:='][^,:=]*)"
VALUES = re.compile(rf"(?<!:):(?P<values>\s*{VALUE}\s*=\s*[0-9]{{1,9}}\s*(?:,\s*{VALUE}\s*=\s*[0-9]{{1,9}}\s*)*)$")
PAIR = re.compile(rf"\s*(?P<value>{VALUE}?)\s*=\s*(?P<choice>[0-9]{{1,9}})\s*(?:,|$)")
NAME = r'(?:"(?:[^"]|"")+"|[^\W\d]\w*)'
COLUMNS = re.compile(rf"\s*(?P<table>{NAME}(?:\.{NAME})?)\s*\(\s*(?P<first>{NAME})\s*,\s*(?P<second>{NAME})\s*\)\s*")
LOOKS_LIKE_VALUES = re.compile(r"(?<!:):(?!:)[^'\"]*$")


def read_field(text: str) -> FieldWish:
    """From `5=sex:m=1,f=2`. Raises UsageError.

    >>> read_field("106540=attribs->>'shoe size'")
    FieldWish(field='106540', expression="attribs->>'shoe size'", values={})
    """
    field, equals, rest = text.partition("=")
    found = VALUES.search(rest)
    expression = rest[: found.start()] if found else rest
    if not equals or not re.fullmatch(r"[\w\- ]+", field.strip()) or not expression.strip():
        raise UsageError(f"--field {text!r}: {FIELD_EXPECTED}")
    if not found and LOOKS_LIKE_VALUES.search(rest):
        raise UsageError(f"--field {text!r}: {FIELD_EXPECTED}")
    values: dict[str, int] = {}
    for pair in PAIR.finditer(found["values"] if found else ""):
        value = pair["value"].strip()
        value = value[1:-1].replace("''", "'") if value.startswith("'") else value
        if value in values:
            raise UsageError(f"--field {text!r}: the value {value} is given twice")
        values[value] = int(pair["choice"])
    return FieldWish(field.strip(), expression.strip(), values)


def read_origin(origin: str | None, through: str | None, names: str | None) -> OriginRule:
    """From --origin, --origin-through and --origin-names. With --origin-through, --origin is a kind only.

    Raises UsageError.
    """
    kind, equals, expression = (origin or "form").partition("=")
    if kind.strip() not in ("form", "api") or (equals and not expression.strip()):
        raise UsageError(f"--origin {origin!r}: {ORIGIN_EXPECTED}")
    if origin is not None and not equals and through is None:
        raise UsageError(f"--origin {origin!r}: {ORIGIN_EXPECTED}")
    if equals and through is not None:
        raise UsageError(
            "--origin with a column and --origin-through exclude each other: --origin form or api expected"
        )
    return OriginRule(
        kind.strip(),
        expression.strip() or None,
        _three(through, "--origin-through", '"subscriber_lists(subscriber_id, list_id)"'),
        _three(names, "--origin-names", '"lists(id, name)"'),
    )


def _three(text: str | None, option: str, example: str) -> tuple[str, str, str] | None:
    if text is None:
        return None
    found = COLUMNS.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} {text!r}: {COLUMNS_EXPECTED} {example}")
    first, second = (  # as Postgres reads the name of a column
        name[1:-1].replace('""', '"') if name.startswith('"') else unquoted(name)
        for name in found.group("first", "second")
    )
    return found["table"], first, second
