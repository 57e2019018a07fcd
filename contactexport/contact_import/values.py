"""Turns a cell of the file into the text that COPY expects for its column, or says what is wrong with it."""

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from contactexport.catalogue import ContactField
from contactexport.contact_import.choices import ChoiceList
from contactexport.contact_import.shown_value import shown
from contactexport.contact_import.store import ContactColumn
from contactexport.errors import UsageError

# Returns the text for COPY, or None for an empty value. Raises ValueError with the reason.
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
    """The parser for the cells of a field. Raises UsageError if the type of its column cannot be imported."""
    if choices:
        several = field.application_type in MULTIPLE_CHOICE or column.category == "A"
        return choices.several if several else choices.one
    if column.category == "S":
        return _text_parser(field, column)
    parsers = {"date": _date, "bool": _boolean, "timestamp": _timestamp, "timestamptz": _timestamp}
    if column.type.removeprefix("_") in INTEGER_BITS:
        parse = _integer(column)
    elif column.type == "numeric" or column.type in FLOAT_LIMITS:
        parse = _number(column)
    elif column.type in parsers:
        parse = parsers[column.type]
    else:
        raise UsageError(f'The column of "{field.name}" has the type {column.type}, which cannot be imported')
    return _blank_is_empty(parse)


def _text_parser(field: ContactField, column: ContactColumn) -> ParseValue:
    by_type = {"numeric": _number(column), "date": _date, "birthdate": _date}
    form = by_type.get(field.application_type, _email if field.id == EMAIL_FIELD else None)
    parse = _blank_is_empty(form) if form else None

    def text(cell: str) -> str | None:
        if "\0" in cell:
            raise ValueError(f"{shown(cell)} has a NUL character, which a text cannot have")
        if not cell.isascii():
            try:
                cell.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{shown(cell)} is not valid Unicode") from None
        value = parse(cell) if parse else cell or None
        if value is not None and column.max_length is not None and len(value) > column.max_length:
            raise ValueError(f"{shown(value)} has {len(value)} characters, at most {column.max_length} fit")
        return value

    return text


def _blank_is_empty(parse: ParseValue) -> ParseValue:
    def parse_stripped(cell: str) -> str | None:
        stripped = cell.strip()
        return parse(stripped) if stripped else None

    return parse_stripped


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


def _integer(column: ContactColumn) -> Callable[[str], str]:
    """For a column of whole numbers, or of arrays of them."""
    limit = 1 << (INTEGER_BITS[column.type.removeprefix("_")] - 1)

    def parse(cell: str) -> str:
        if not INTEGER.fullmatch(cell) or not -limit <= int(cell) < limit:
            raise ValueError(f"{shown(cell)} is not a whole number from {-limit} to {limit - 1}")
        return str(int(cell))

    def parse_several(cell: str) -> str:
        return "{" + ",".join(parse(part.strip()) for part in cell.split(",")) + "}"

    return parse_several if column.type.startswith("_") else parse


def _number(column: ContactColumn) -> Callable[[str], str]:
    least, most = FLOAT_LIMITS.get(column.type, (0, math.inf))
    if column.whole_digits is not None:
        # From here on, rounding to the last place gives one digit too many: 9.995 in numeric(3, 2) would be 10.00.
        most = 10**column.whole_digits - Decimal(5).scaleb(-column.scale - 1)

    def parse(cell: str) -> str:
        if not NUMBER.fullmatch(cell):
            raise ValueError(f"{shown(cell)} is not a number like 12.5")
        size = abs(Decimal(cell))
        if size and not least <= size < most:
            raise ValueError(f"{shown(cell)} is out of the range of its column")
        return cell

    return parse
