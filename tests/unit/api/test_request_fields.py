"""contactexport.api.request_fields: the values of each parameter, and the error texts for others."""

import unicodedata
from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from contactexport.api import request_fields
from contactexport.api.request_fields import CONTROL_CHARACTER, MAX_DIGITS, integer, shown
from contactexport.catalogue import Catalogue, ContactField, Origin
from contactexport.hosts.guard import NetworkGuard
from contactexport.hosts.parse import parse_allowed_hosts
from contactexport.languages import LANGUAGES
from contactexport.secrets.hidden_url import hidden
from contactexport.users.client_rules import STRICT

VIENNA = ZoneInfo("Europe/Vienna")
CATALOGUE = Catalogue(
    (Origin("form", 123, "a"), Origin("form", 124, "b"), Origin("api", 0, "none"), Origin("api", 456, "c")),
    {id_: ContactField(id_, str(id_), "shorttext", f"c{id_}", id_ != 27, {}) for id_ in (0, 1, 3, 27, 106533)},
)
GUARD = NetworkGuard(parse_allowed_hosts("2001:db8::/32"))
REFUSED = "Valid start_date and end_date is required"


def load(field, value, name="parameter", **data):
    """Returns what the field makes of a value, in a schema with our catalogue and the time zone of Vienna."""
    field.parent = SimpleNamespace(
        catalogue=CATALOGUE, time_zone=VIENNA, rules=STRICT, guard=GUARD, PARAMETER="ftp_settings"
    )
    return field._deserialize(value, name, data | {name: value})


def refusal(field, value, name="parameter", **data) -> str:
    with pytest.raises(ValidationError) as refused:
        load(field, value, name, **data)
    return refused.value.messages[0]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Integers


@pytest.mark.parametrize(
    "value, expected",
    [
        (0, 0),
        (-1, -1),
        (7, 7),
        ("0", 0),
        ("007", 7),
        ("123", 123),
        ("9" * MAX_DIGITS, 10**MAX_DIGITS - 1),
        (10**400, 10**400),
    ],
)
def test_integers_and_strings_of_digits_become_integers(value, expected):
    assert integer(value) == expected


def test_too_many_digits_become_unused_id():
    assert integer("9" * (MAX_DIGITS + 1)) == integer("1" * 10_000) == 10**MAX_DIGITS


@pytest.mark.parametrize(
    "value",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "1_000",
        "+1",
        "-1",
        "1.0",
        "1e3",
        "0x1",
        "١",
        "１",
        "²",
        "½",
        "1\0",
        True,
        False,
        None,
        1.0,
        1.5,
        [],
        [1],
        {},
    ],
)
def test_other_values_become_none(value):
    assert integer(value) is None


@given(st.text(max_size=30))
def test_any_text_becomes_integer_or_none(text):
    number = integer(text)
    assert number is None or text.strip("0123456789") == ""


@pytest.mark.parametrize(
    "value, expected",
    [
        ("a", "a"),
        ("", ""),
        (5, "5"),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        (["ä", {"b": None}], '["ä", {"b": null}]'),
    ],
)
def test_value_that_is_not_string_is_shown_as_json(value, expected):
    assert shown(value) == expected


# Time ranges


def test_time_range_becomes_two_moments():
    assert load(request_fields.TimeRange(), ["2012-02-09", "2012-02-10T00:00:00Z"]) == (
        utc("2012-02-08T23:00"),
        utc("2012-02-10T00:00"),
    )


@pytest.mark.parametrize(
    "value, text",
    [
        ("2012-02-09", "Invalid data format for time_range. Array expected"),
        ({}, "Invalid data format for time_range. Array expected"),
        (5, "Invalid data format for time_range. Array expected"),
        ([], "Invalid data format for time_range. Array size must be 2"),
        (["2012-02-09"] * 3, "Invalid data format for time_range. Array size must be 2"),
        (["2012-02-09", None], REFUSED),
        (["x", "2012-02-09"], REFUSED),
        (["2012-02-09", "2012-02-09"], "Invalid value for end_date: end_date is earlier than the start_date"),
        (["2012-02-10", "2012-02-09"], "Invalid value for end_date: end_date is earlier than the start_date"),
        # The same instant, written twice.
        (
            ["2012-02-09", "2012-02-08T23:00:00Z"],
            "Invalid value for end_date: end_date is earlier than the start_date",
        ),
    ],
)
def test_other_time_ranges_are_refused(value, text):
    assert refusal(request_fields.TimeRange(), value) == text


# Ids


@pytest.mark.parametrize(
    "value, expected",
    [(123, (123,)), ("123", (123,)), (["124", 123, 124], (123, 124)), ([123], (123,)), ("00123", (123,))],
)
def test_origin_ids_are_sorted_and_unique(value, expected):
    assert load(request_fields.OriginIds(), value, origin="form") == expected


def test_id_0_means_contacts_without_source():
    assert load(request_fields.OriginIds(), 0, origin="api") == (0,)


@pytest.mark.parametrize("value", ["abc", 12.5, "", [], [123, "x"], [[123]], {}, True, "1_000", "١", [None]])
def test_origin_id_that_is_not_integer_is_refused(value):
    text = "Invalid data format for origin_id. Integer expected"
    assert refusal(request_fields.OriginIds(), value, origin="form") == text


@pytest.mark.parametrize(
    "value, origin, named",
    [
        (999, "form", "999"),
        ("123", "api", "123"),
        ([123, "0999"], "form", "0999"),
        (-1, "form", "-1"),
        (0, "form", "0"),
    ],
)
def test_unknown_origin_id_is_named_as_sent(value, origin, named):
    assert refusal(request_fields.OriginIds(), value, origin=origin) == f"Invalid value for origin_id: {named}"


def test_contact_fields_keep_order_and_are_unique():
    assert load(request_fields.ContactFields(), ["106533", 3, 1, "3", 0]) == (106533, 3, 1, 0)


@pytest.mark.parametrize(
    "value, text",
    [
        ("1,3", "Invalid data format for contact_fields. Array expected"),
        (1, "Invalid data format for contact_fields. Array expected"),
        ([], "Invalid number of fields"),
        ([1, 999999, 3, "x7"], "Invalid contact field id: 999999, x7"),
        ([27], "Invalid contact field id: 27"),
        ([1, True, 1.0, None, [3]], "Invalid contact field id: true, 1.0, null, [3]"),
        (["9" * 30], f"Invalid contact field id: {'9' * 30}"),
        ([-1], "Invalid contact field id: -1"),
    ],
)
def test_other_contact_fields_are_refused(value, text):
    assert refusal(request_fields.ContactFields(), value) == text


# The others


@pytest.mark.parametrize("value, expected", [(1, True), (0, False), ("1", True), ("0", False), ("01", True)])
def test_flags_are_1_or_0(value, expected):
    assert load(request_fields.Flag(), value) is expected


@pytest.mark.parametrize(
    "value, named", [(2, "2"), (-1, "-1"), ("", ""), ("yes", "yes"), (True, "true"), (1.0, "1.0"), ([1], "[1]")]
)
def test_other_flags_are_refused(value, named):
    assert refusal(request_fields.Flag(), value, "spreadsheet") == f"Invalid value for spreadsheet: {named}"


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_language_is_accepted_in_either_case(code):
    assert load(request_fields.Language(), code) == load(request_fields.Language(), code.upper()) == code


@pytest.mark.parametrize(
    "value, named", [("xx", "xx"), ("", ""), ("en ", "en "), ("en-GB", "en-GB"), (1, "1"), ("ıt", "ıt")]
)
def test_other_languages_are_refused(value, named):
    assert refusal(request_fields.Language(), value) == f"Invalid value for language: {named}"


@pytest.mark.parametrize("value, expected", [(1, 1), ("21", 21), (65535, 65535), ("065535", 65535)])
def test_ports_are_1_to_65535(value, expected):
    assert load(request_fields.Port(), value) == expected


@pytest.mark.parametrize(
    "value, named",
    [(0, "0"), (65536, "65536"), (-1, "-1"), ("x", "x"), (True, "true"), (21.0, "21.0"), (10**30, "1" + "0" * 30)],
)
def test_other_ports_are_refused(value, named):
    assert refusal(request_fields.Port(), value, "port") == f"Invalid value for ftp_settings.port: {named}"


def test_one_of_is_case_sensitive():
    field = request_fields.OneOf("form", "api", message="Invalid origin: {value}")
    assert load(field, "form") == "form"
    assert refusal(field, "Form") == "Invalid origin: Form"
    assert refusal(field, ["form"]) == 'Invalid origin: ["form"]'


@pytest.mark.parametrize("value", ["{value}", "{0}", "{}", "{value.__class__}"])
def test_braces_in_value_are_shown_unchanged(value):
    assert refusal(request_fields.OneOf("a", message="Invalid origin: {value}"), value) == f"Invalid origin: {value}"


@pytest.mark.parametrize("value", ["a", "ä ö/ü", "日本", "x" * 1024, "a;b|c", "\u2028"])
def test_line_is_any_text_without_control_characters(value):
    assert load(request_fields.Line(), value) == value


@pytest.mark.parametrize(
    "value", ["", "a\nb", "a\r\nDELE b", "\0", "\t", "\x7f", "\x85", "x" * 1025, 5, None, ["a"], True]
)
def test_other_lines_are_refused_and_shown(value):
    text = f"Invalid value for ftp_settings.folder: {shown(value)}"
    assert refusal(request_fields.Line(), value, "folder") == text


def test_line_may_be_empty_if_allowed():
    assert load(request_fields.Line(may_be_empty=True), "") == ""


@pytest.mark.parametrize("value", ["geheim\n", 12345, ["geheim"], "g" * 1025])
def test_secret_is_never_shown(value):
    field = request_fields.Line(secret=True, may_be_empty=True)
    assert refusal(field, value, "password") == "Invalid value for ftp_settings.password: ***"


@pytest.mark.parametrize(
    "url",
    [
        "http://www.example.com",
        "https://www.example.com:8443/a?b=c#d",
        "HTTPS://www.example.com",
        "https://user@www.example.com/",
        "http://[2001:db8::1]/",
        "http://bücher.example/ä",
        "http://a/" + "x" * 2039,
    ],
)
def test_http_and_https_urls_are_accepted(url):
    assert load(request_fields.NotificationUrl(), url) == url


@pytest.mark.parametrize(
    "value",
    [
        "",
        "www.example.com",
        "//www.example.com",
        "ftp://www.example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http:",
        "http://",
        "http:///path",
        "http://:80/",
        "http://user@/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:x/",
        "http://a:-1/",
        "http://[::1",
        "http://[x]/",
        "http://a b/",
        " http://a",
        "http://a\n",
        "http://a/\r\nX: y",
        "http://a\0",
        "http://a/" + "x" * 2040,
        5,
        ["http://a"],
        True,
    ],
)
def test_other_urls_are_refused(value):
    text = f"Invalid value for notification_url: {hidden(shown(value))}"
    assert refusal(request_fields.NotificationUrl(), value, "notification_url") == text


@given(st.text())
def test_control_character_is_found_anywhere(text):
    found = CONTROL_CHARACTER.search(text) is not None
    assert found == any(unicodedata.category(char) == "Cc" for char in text)
