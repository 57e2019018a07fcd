import pytest

from contactexport.catalogue import ContactField
from contactexport.contact_import.choices import ChoiceList
from contactexport.contact_import.store import ContactColumn
from contactexport.contact_import.values import value_parser
from contactexport.errors import UsageError

CATEGORIES = {
    "text": "S",
    "varchar": "S",
    "date": "D",
    "timestamptz": "D",
    "bool": "B",
    "_int4": "A",
    "inet": "I",
}


def parse(type_name: str, cell: str, *, field_id: int = 9, application_type: str = "special", **limits: int):
    field = ContactField(field_id, "Field", application_type, "field", True, {})
    sizes = {"max_length": None, "whole_digits": None, "scale": 0} | limits
    column = ContactColumn("field", type_name, CATEGORIES.get(type_name, "N"), required=False, writable=True, **sizes)
    return value_parser(field, column, ChoiceList([]))(cell)


@pytest.mark.parametrize(
    "type_name, cell, value",
    [
        ("text", " a, b\nc ", " a, b\nc "),
        ("date", " 2012-02-29 ", "2012-02-29"),
        ("int4", "+007", "7"),
        ("int2", "-32768", "-32768"),
        ("_int4", "1, 2", "{1,2}"),
        ("numeric", "-12.50", "-12.50"),
        ("float8", "1e300", "1e300"),
        ("bool", "Yes", "true"),
        ("timestamptz", "2012-02-29 13:45:00+01:00", "2012-02-29T13:45:00+01:00"),
    ],
)
def test_valid_value_is_accepted(type_name: str, cell: str, value: str):
    assert parse(type_name, cell) == value


@pytest.mark.parametrize("type_name", ["text", "date", "int4", "numeric", "bool", "_int4", "timestamptz"])
def test_empty_cell_is_null(type_name: str):
    assert parse(type_name, "") is None


@pytest.mark.parametrize(
    "type_name, cell, reason",
    [
        ("text", "a\0b", "has a NUL character"),
        ("text", "\ud800", "is not valid Unicode"),
        ("date", "2013-02-29", "'2013-02-29' is not a day of the calendar"),
        ("date", "29.02.2012", "is not a date like 2012-02-29"),
        ("date", "20120229", "is not a date like"),
        ("int4", "2147483648", "is not a whole number from -2147483648 to 2147483647"),
        ("int4", "1.5", "is not a whole number"),
        ("int4", "١", "is not a whole number"),
        ("_int4", "1,x", "'x' is not a whole number"),
        ("numeric", "1,5", "is not a number like 12.5"),
        ("numeric", "NaN", "is not a number"),
        ("numeric", "1_000", "is not a number"),
        ("float4", "1e39", "is out of the range of its column"),
        ("float8", "1e-400", "is out of the range of its column"),
        ("bool", "maybe", "is neither true nor false"),
        ("timestamptz", "noon", "is not a time like"),
    ],
)
def test_bad_value_is_refused_with_the_reason(type_name: str, cell: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        parse(type_name, cell)


def test_error_shortens_a_long_value():
    with pytest.raises(ValueError, match=rf"^'{'x' * 39}…' is not a date"):
        parse("date", "x" * 500)


def test_text_must_fit_its_column():
    assert parse("varchar", "äöü", max_length=3) == "äöü"
    with pytest.raises(ValueError, match="has 4 characters, at most 3 fit"):
        parse("varchar", "äöü!", max_length=3)


def test_number_must_fit_its_column_after_rounding():
    assert parse("numeric", "9.994", whole_digits=1, scale=2) == "9.994"
    with pytest.raises(ValueError, match="out of the range"):
        parse("numeric", "9.995", whole_digits=1, scale=2)


@pytest.mark.parametrize("cell", ["ada", "a b@c.at", "ada@", "a@b@c"])
def test_email_field_accepts_only_addresses(cell: str):
    with pytest.raises(ValueError, match="is not an e-mail address"):
        parse("text", cell, field_id=3)


def test_dates_and_numbers_are_checked_in_text_columns():
    with pytest.raises(ValueError, match="not a date"):
        parse("text", "soon", application_type="birthdate")
    with pytest.raises(ValueError, match="not a number"):
        parse("text", "many", application_type="numeric")


def test_column_of_unknown_type_is_refused_before_the_import_starts():
    with pytest.raises(UsageError, match=r'The column of "Field" has the type inet'):
        parse("inet", "::1")
