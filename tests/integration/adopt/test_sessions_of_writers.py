"""What a writer has set in a session hides no change."""

from zoneinfo import ZoneInfo

import pytest

from contactexport.adopt.apply import apply
from contactexport.adopt.models import FieldMapping, Join, Plan
from contactexport.context import Context
from tests.support.exporting import context_with
from tests.support.logged import forget_log, logged, prepare, write

TABLES = r"""
CREATE TABLE customer (id bigint PRIMARY KEY, score float8, at timestamptz, day text, note text);
CREATE TABLE profile (customer_id bigint PRIMARY KEY, city text);
INSERT INTO customer VALUES (1, 1, '2014-10-25 21:30Z', '99/01/02', 'z');
"""
# Settings, an expression, and a change of its value that does not show with these settings.
HIDING = {
    "fewer digits": ("extra_float_digits = 0", "score", "score = 1.0000000000000002"),
    "a zone with one name for two offsets": (
        "DateStyle = 'SQL, DMY'; SET TimeZone = 'Europe/Moscow'", "at", "at = '2014-10-25 22:30Z'",
    ),
    "a zone that is far away": ("TimeZone = 'Pacific/Kiritimati'", "(at)::date", "at = '2014-10-26 00:30Z'"),
    "days before months": ("DateStyle = 'ISO, DMY'", "(day)::date", "day = '98/01/02'"),
    "backslashes that quote": (
        "standard_conforming_strings = off", r"CASE WHEN note = 'a\\b' THEN 1 ELSE 2 END",
        "note = 'a' || repeat(chr(92), 2) || 'b'",
    ),
}  # fmt: skip


def plan(expression: str, *, joined: bool) -> Plan:
    fields = (FieldMapping(100000, "Value", "shorttext", "value", expression),)
    if not joined:
        return Plan("customer", "id", fields)
    fields += (FieldMapping(11, "City", "shorttext", "city", "profile.city"),)
    return Plan("customer", "id", fields, joins=(Join("profile", "profile.customer_id = customer.id"),))


@pytest.mark.parametrize("joined", [False, True], ids=["one table", "joined"])
@pytest.mark.parametrize("name", HIDING)
def test_settings_of_a_session_hide_no_change(context: Context, name: str, joined: bool):
    settings, expression, assignment = HIDING[name]
    prepare(context, TABLES)
    apply(context, plan(expression, joined=joined))
    forget_log(context)
    write(context, f"SET {settings}; UPDATE customer SET {assignment}")
    assert logged(context) == [("1", "api", 0, "u")]


@pytest.mark.parametrize("joined", [False, True], ids=["one table", "joined"])
def test_days_are_those_of_the_services_zone(context: Context, joined: bool):
    prepare(context, TABLES)
    service = context_with(context, time_zone=ZoneInfo("Asia/Tokyo"))
    apply(service, plan("(at)::date", joined=joined))
    write(context, "UPDATE customer SET at = '2014-10-25 14:30Z'")  # 23:30 in Tokyo
    forget_log(context)
    write(context, "UPDATE customer SET at = '2014-10-25 15:30Z'")  # the same day in UTC
    assert logged(context) == [("1", "api", 0, "u")]
