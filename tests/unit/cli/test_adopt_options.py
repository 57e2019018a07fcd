"""The values of the options of `flask contacts adopt`."""

import pytest

from contactexport.adopt.models import FieldWish, OriginRule
from contactexport.adopt.sql_text import read_join, read_select
from contactexport.cli.adopt_options import read_field, read_origin
from contactexport.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1=given_name", FieldWish("1", "given_name")),
        (" email = mail ", FieldWish("email", "mail")),
        ("5=sex:m=1,f=2", FieldWish("5", "sex", {"m": 1, "f": 2})),
        ("5=sex: m = 1 , f = 2 ", FieldWish("5", "sex", {"m": 1, "f": 2})),
        ("5=sex::text:m=1", FieldWish("5", "sex::text", {"m": 1})),
        ("7=visits::integer", FieldWish("7", "visits::integer")),
        ("106540=attribs->>'shoe size'", FieldWish("106540", "attribs->>'shoe size'")),
        ("106540=attribs->>'a:b=1'", FieldWish("106540", "attribs->>'a:b=1'")),
        ("9=title:'Dr., MA'=3,'it''s'=4", FieldWish("9", "title", {"Dr., MA": 3, "it's": 4})),
        ("7=a = b", FieldWish("7", "a = b")),
    ],
)
def test_fields_are_read(text, expected):
    assert read_field(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "5=", "=sex", "5=:m=1", "5=sex:m", "5=sex:m=x", "5=sex:m=1,", "5=sex:m=1,m=2"]
)
def test_fields_that_are_none_are_refused_in_one_line(text):
    with pytest.raises(UsageError) as refused:
        read_field(text)
    assert refused.value.text.startswith(f"--field {text!r}: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, None), OriginRule()),
        (("form=signup_form", None, None), OriginRule("form", "signup_form")),
        (("api=source = 1", None, None), OriginRule("api", "source = 1")),
        ((None, "member(no, list_id)", None), OriginRule(through=("member", "no", "list_id"))),
        (
            ("api", 'crm."Member" ( No , "List Id" )', "lists(id, name)"),
            OriginRule("api", None, ('crm."Member"', "no", "List Id"), ("lists", "id", "name")),
        ),
    ],
)
def test_origins_are_read(given, expected):
    assert read_origin(*given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("list=a", None, None), "--origin 'list=a': form=COLUMN or api=COLUMN expected"),
        (("form=", None, None), "--origin 'form=': form=COLUMN"),
        (("form", None, None), "--origin 'form': form=COLUMN"),
        (("form=a", "b(c, d)", None), "--origin with a column and --origin-through exclude each other"),
        ((None, "member", None), "--origin-through 'member': TABLE(COLUMN, COLUMN) expected"),
        ((None, "member(no)", None), "--origin-through 'member(no)': TABLE(COLUMN, COLUMN) expected"),
        ((None, None, "lists(id, name"), "--origin-names 'lists(id, name': TABLE(COLUMN, COLUMN) expected"),
    ],
)
def test_origins_that_are_none_are_refused(given, expected):
    with pytest.raises(UsageError) as refused:
        read_origin(*given)
    assert refused.value.text.startswith(expected)


@pytest.mark.parametrize("text", ["profile", "profile ON", "ON a = b", "profile ON (a = b", "profile USING (id)", "'a"])
def test_joins_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="--join"):
        read_join(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "x.sql has 0 statements, one SELECT expected"),
        ("SELECT 1; SELECT 2", "x.sql has 2 statements, one SELECT expected"),
        ("CREATE VIEW a AS SELECT 1", "x.sql has CREATE, one SELECT expected"),
        ("SELECT (", "x.sql cannot be read as SQL: "),
    ],
)
def test_files_without_a_select_are_refused(text, expected):
    with pytest.raises(UsageError) as refused:
        read_select(text, "x.sql")
    assert refused.value.text.startswith(expected)
    assert "\n" not in refused.value.text


def test_a_select_may_end_in_a_semicolon_and_a_comment():
    assert read_select("SELECT 1 AS id; -- that is all\n", "x.sql") == "SELECT 1 AS id"
