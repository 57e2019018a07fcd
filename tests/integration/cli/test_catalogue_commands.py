"""`flask origins` and `flask fields`: the catalogue without SQL."""

import json

import pytest

from tests.support.exporting import execute
from tests.support.sql_rows import rows, value


@pytest.fixture
def empty(context):
    execute(context, "DELETE FROM contact_field; DELETE FROM origin")
    return context.contacts


def told(runner, *arguments: str) -> str:
    ended = runner.invoke(args=[*arguments])
    assert (ended.exit_code, ended.stderr) == (0, ""), ended.output
    return ended.stdout


def refused(runner, *arguments: str) -> str:
    ended = runner.invoke(args=[*arguments])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr.removeprefix("Error: ").rstrip("\n")


def test_origins_are_added_renamed_and_listed(runner, empty):
    assert told(runner, "origins", "add", "form:123", "Newsletter") == "added form:123 Newsletter\n"
    assert json.loads(told(runner, "origins", "add", "api:0", "No source", "--json")) == {
        "kind": "api",
        "id": 0,
        "name": "No source",
    }
    assert told(runner, "origins", "rename", "form:123", "[News]") == "renamed form:123 [News]\n"
    assert told(runner, "origins", "list").split() == ["origin", "name", "api:0", "No", "source", "form:123", "[News]"]
    assert json.loads(told(runner, "origins", "list", "--json"))[1] == {"kind": "form", "id": 123, "name": "[News]"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["add", "form:1", "b"], "There is an origin form:1 already: see `flask origins list`"),
        (["rename", "api:1", "b"], "There is no origin api:1: see `flask origins list`"),
        (["add", "form:2", " "], "' ' is not a name: a line of text expected"),
        (["rename", "form:1", "a\nb"], "'a\\nb' is not a name: a line of text expected"),
    ],
)
def test_origins_that_do_not_fit_are_refused(runner, empty, arguments, expected):
    told(runner, "origins", "add", "form:1", "a")
    assert refused(runner, "origins", *arguments) == expected


def test_a_text_that_is_no_origin_is_refused(runner):
    ended = runner.invoke(args=["origins", "add", "list:1", "a"])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "'list:1' is not an origin: form:ID or api:ID expected" in ended.stderr


def test_a_system_field_is_added_as_in_the_original(runner, empty):
    assert told(runner, "fields", "add", "email") == "added 3 E-Mail (longtext, column email)\n"
    assert told(runner, "fields", "add", "5") == "added 5 Gender (singlechoice, column gender)\n"
    listed = json.loads(told(runner, "fields", "list", "--language", "de", "--json"))
    assert [one["id"] for one in listed] == [3, 5]
    assert listed[1]["names"]["fr"] == "Sexe"
    assert listed[1]["choices"] == {"1": "Männlich", "2": "Weiblich"}


def test_a_custom_field_gets_an_id_and_a_column(runner, empty):
    assert told(runner, "fields", "add", "Shoe size", "--type", "numeric") == (
        "added 100000 Shoe size (numeric, column shoe_size)\n"
    )
    assert told(runner, "fields", "add", "106533", "Loyalty number", "--column", "loyalty") == (
        "added 106533 Loyalty number (shorttext, column loyalty)\n"
    )
    assert told(runner, "fields", "add", "Größe (cm)").startswith(
        "added 100001 Größe (cm) (shorttext, column größe_cm)"
    )
    assert (
        value(empty, "SELECT pg_typeof(shoe_size)::text FROM contact RIGHT JOIN (VALUES (1)) AS one ON true")
        == "numeric"
    )


def test_the_column_of_a_system_field_is_not_given_to_another(runner, empty):
    assert told(runner, "fields", "add", "100005", "First name") == (
        "added 100005 First name (shorttext, column field_100005)\n"
    )


def test_choices_make_a_single_choice(runner, empty):
    told(runner, "fields", "add", "106534", "Membership", "--choice", "1=Active", "--choice", "2=Closed = gone")
    (field,) = json.loads(told(runner, "fields", "list", "--json"))
    assert (field["application_type"], field["choices"]) == ("singlechoice", {"1": "Active", "2": "Closed = gone"})


def test_fields_are_renamed_in_a_language(runner, empty):
    told(runner, "fields", "add", "106533", "Card number")
    told(runner, "fields", "rename", "card number", "Kartennummer", "--language", "de")
    told(runner, "fields", "rename", "106533", "Card no.")
    assert rows(empty, "SELECT name, names, column_name FROM contact_field") == [
        {
            "name": "Card no.",
            "names": {"en": "Card no.", "de": "Kartennummer"},
            "column_name": "card_number",
        }
    ]
    assert "Kartennummer" in told(runner, "fields", "list", "--language", "de")


def test_fields_are_removed_and_their_columns_stay(runner, context):
    assert told(runner, "fields", "remove", "106533") == "removed 106533 Loyalty number\n"
    assert value(context.contacts, "SELECT count(loyalty_number) FROM contact") == 0
    assert told(runner, "fields", "remove", "1", "email") == "removed 2 fields\n"
    assert len(json.loads(told(runner, "fields", "remove", "--all", "--json"))["removed"]) == 47
    assert value(context.contacts, "SELECT count(*) FROM contact_field") == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["add", "3"], 'There is a field 3 already: "E-Mail", column email'),
        (["add", "106533"], "106533 is not the id of a system field: a name expected behind it"),
        (["add", "Shoe", "size"], "Shoe is not the id of a field: ID NAME, or only NAME expected"),
        (["add", "99999999999", "a"], "The id 99999999999 is too large: at most 2147483647 expected"),
        (["add", "100000", " "], "' ' is not a name: a line of text expected"),
        (["add", "a b", "--column", "email"], 'The column email stands for the field 3 "E-Mail": name another column'),
        (["add", "a b", "--column", "origin_id"], "The column origin_id is fixed: name another column"),
        (["add", "a b", "--column", "x" * 64], f"The column {'x' * 64} has a name of more than 63 bytes"),
        (["add", "a b", "--choice", "Active"], "--choice 'Active': ID=LABEL expected, such as 1=Active"),
        (["add", "a b", "--choice", "1=a", "--choice", "1=b"], "--choice '1=b': the id 1 is given twice"),
        (["rename", "E-Mai", "a"], 'Unknown field: "E-Mai"; did you mean "E-Mail" (3)?'),
        (["rename", "3", "a", "--language", "xx"], "Unknown language: xx. Known are ar, bg"),
        (["remove"], "Name the fields to remove, or --all"),
        (["remove", "3", "--all"], "Name the fields to remove, or --all"),
    ],
)
def test_fields_that_do_not_fit_are_refused(runner, empty, arguments, expected):
    told(runner, "fields", "add", "3")
    assert refused(runner, "fields", *arguments).startswith(expected)


def test_a_view_must_have_the_column(runner, empty):
    rows(empty, "DROP TABLE contact; CREATE VIEW contact AS SELECT 1 AS id, 'a'::text AS email")
    assert refused(runner, "fields", "add", "100000", "Shoe size") == (
        "The view `contact` has no column shoe_size: `flask contacts adopt` with --field adds one"
    )
    assert told(runner, "fields", "add", "email") == "added 3 E-Mail (longtext, column email)\n"
