"""Turns one cell of an import into the text that COPY expects for its column, or says what is wrong."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from contactexport.db.contact_import_repository import ContactColumn
from contactexport.errors import UsageError
from contactexport.models import ContactField
from contactexport.services.contact_choices import ChoiceList
from contactexport.services.shown_value import shown

# The text for COPY, None for an empty value; raises ValueError with the reason.
ParseValue = Callable[[str], str | None]

EMAIL_FIELD = 3
MULTIPLE_CHOICE = {"interests", "multichoice"}
INTEGER_BITS = {"int2": 16, "int4": 32, "int8": 64}
FLOAT_LIMITS = {"float4": (1.2e-38, 3.4e38), "float8": (2.3e-308, 1.7e308)}
BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "0"), "false"),
}
INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def value_parser(field: ContactField, column: ContactColumn, choices: ChoiceList) -> ParseValue:
    """The parser for a field's cells. Raises UsageError when its column's type cannot be imported."""
    if choices:
        several = field.application_type in MULTIPLE_CHOICE or column.category == "A"
        return choices.several if several else choices.one
    if column.category == "S":
        return _text_parser(field, column)
    parse = _parser_of_type(column)
    if parse is None:
        raise UsageError(f'The column of "{field.name}" has the type {column.type}, which cannot be imported')
    return _blank_is_empty(parse)


def _text_parser(field: ContactField, column: ContactColumn) -> ParseValue:
    checks: Mapping[bool, ParseValue] = {
        field.id == EMAIL_FIELD: _email,
        field.application_type in {"date", "birthdate"}: _date,
        field.application_type == "numeric": _number(column),
    }
    parse = _blank_is_empty(checks[True]) if True in checks else _plain

    def text(cell: str) -> str | None:
        _require_storable(cell)
        value = parse(cell)
        if value is not None and column.max_length is not None and len(value) > column.max_length:
            raise ValueError(f"{shown(value)} has {len(value)} characters, at most {column.max_length} fit")
        return value

    return text


def _parser_of_type(column: ContactColumn) -> ParseValue | None:
    if column.type in INTEGER_BITS:
        return _integer(INTEGER_BITS[column.type])
    if column.type.removeprefix("_") in INTEGER_BITS:
        return _integers(INTEGER_BITS[column.type.removeprefix("_")])
    if column.type == "numeric" or column.type in FLOAT_LIMITS:
        return _number(column)
    return {"date": _date, "bool": _boolean, "timestamp": _timestamp, "timestamptz": _timestamp}.get(column.type)


def _blank_is_empty(parse: ParseValue) -> ParseValue:
    def parse_stripped(cell: str) -> str | None:
        stripped = cell.strip()
        return parse(stripped) if stripped else None

    return parse_stripped


def _plain(cell: str) -> str | None:
    return cell or None


def _require_storable(cell: str) -> None:
    if "\0" in cell:
        raise ValueError(f"{shown(cell)} has a NUL character, which a text cannot have")
    if not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{shown(cell)} is not valid Unicode") from None


def _email(cell: str) -> str:
    if not EMAIL.fullmatch(cell):
        raise ValueError(f"{shown(cell)} is not an e-mail address")
    return cell


def _date(cell: str) -> str:
    try:
        if DATE.fullmatch(cell):
            return date.fromisoformat(cell).isoformat()
    except ValueError:
        raise ValueError(f"{shown(cell)} is not a day of the calendar") from None
    raise ValueError(f"{shown(cell)} is not a date like 2012-02-29")


def _timestamp(cell: str) -> str:
    try:
        return datetime.fromisoformat(cell).isoformat()
    except ValueError:
        raise ValueError(f"{shown(cell)} is not a time like 2012-02-29 13:45:00") from None


def _boolean(cell: str) -> str:
    if cell.lower() not in BOOLEANS:
        raise ValueError(f"{shown(cell)} is neither true nor false")
    return BOOLEANS[cell.lower()]


def _integer(bits: int) -> Callable[[str], str]:
    limit = 1 << (bits - 1)

    def parse(cell: str) -> str:
        if not INTEGER.fullmatch(cell) or not -limit <= int(cell) < limit:
            raise ValueError(f"{shown(cell)} is not a whole number from {-limit} to {limit - 1}")
        return str(int(cell))

    return parse


def _integers(bits: int) -> ParseValue:
    parse = _integer(bits)
    return lambda cell: "{" + ",".join(parse(part.strip()) for part in cell.split(",")) + "}"


def _number(column: ContactColumn) -> ParseValue:
    least, most = FLOAT_LIMITS.get(column.type, (0, math.inf))
    if column.whole_digits is not None:
        # From half a unit of the last place below 10^digits on, rounding makes one digit too many.
        most = 10**column.whole_digits - Decimal(5).scaleb(-column.scale - 1)

    def parse(cell: str) -> str:
        if not NUMBER.fullmatch(cell):
            raise ValueError(f"{shown(cell)} is not a number like 12.5")
        size = abs(Decimal(cell))
        if size and not least <= size < most:
            raise ValueError(f"{shown(cell)} is out of the range of its column")
        return cell

    return parse
