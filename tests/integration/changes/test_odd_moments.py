"""Dates and times that do not fit YYYY-MM-DD are empty cells. All others have that form."""

import csv
import re
from zoneinfo import ZoneInfo

import pytest

from contactexport.context import Context
from tests.support.exporting import add_contact, change, context_with, execute, export_file, settings_for
from tests.support.readers import WAYS, reading

FORMS = {
    "date": r"\d{4}-\d{2}-\d{2}",
    "timestamp": r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?",
    "timestamptz": r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?[+-]\d{2}(:\d{2}){0,2}",
    "day": r"\d{4}-\d{2}-\d{2}",  # a domain over another one over a date
}
TOO_LATE_FOR_TIMES = "5000000-12-31"
ODD = ["infinity", "-infinity", "0044-03-15 BC", "10000-01-02", TOO_LATE_FOR_TIMES, "0001-12-30 BC"]
LIKE_OTHERS = ["0001-01-02", "9999-12-30", "1582-10-10", "1984-02-29"]


def rows(context: Context, **changes) -> list[list[str]]:
    text = export_file(context, settings_for(**changes)).decode("utf-8-sig")
    return list(csv.reader(text.splitlines()))


@pytest.fixture
def fields(context: Context) -> tuple[int, ...]:
    execute(context, "CREATE DOMAIN day_of_birth AS date; CREATE DOMAIN day AS day_of_birth")
    for number, name in enumerate(FORMS):
        execute(context, f"ALTER TABLE contact ADD COLUMN v_{name} {name}")
        execute(
            context,
            "INSERT INTO contact_field (id, name, application_type, column_name) VALUES (%s, %s, 'date', %s)",
            (200_000 + number, name, f"v_{name}"),
        )
    return tuple(200_000 + number for number in range(len(FORMS)))


def contact_with(context: Context, moment: str) -> None:
    columns = {f"v_{name}": moment for name in FORMS}
    if moment == TOO_LATE_FOR_TIMES:
        columns |= {"v_timestamp": "290000-01-01", "v_timestamptz": "290000-01-01"}
    change(context, add_contact(context, **columns), "2012-02-09 00:00+00")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
def test_date_without_a_four_digit_year_is_an_empty_cell(context: Context, fields, monkeypatch, way, zone):
    context, changes = reading(context_with(context, time_zone=ZoneInfo(zone)), way, monkeypatch)
    for moment in ODD + LIKE_OTHERS:
        contact_with(context, moment)
    found = [row[1:-1] for row in rows(context, contact_fields=fields, **changes)]
    assert found[: len(ODD)] == [[""] * len(FORMS)] * len(ODD)
    for row, moment in zip(found[len(ODD) :], LIKE_OTHERS, strict=True):
        assert row[0] == row[3] == moment
        for cell, form in zip(row, FORMS.values(), strict=True):
            assert re.fullmatch(form, cell), cell


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("zone", "moment"),
    [("America/New_York", "0001-01-01 02:00+00"), ("Pacific/Kiritimati", "9999-12-31 23:00+00")],
)
def test_year_of_a_time_is_that_in_the_service_zone(context: Context, fields, monkeypatch, zone, moment, way):
    context, changes = reading(context_with(context, time_zone=ZoneInfo(zone)), way, monkeypatch)
    contact_with(context, moment)
    assert [row[1:4] for row in rows(context, contact_fields=fields[:3], **changes)] == [
        [moment[:10], moment[:16] + ":00", ""]
    ]


def test_last_update_outside_the_year_range_is_empty(context: Context):
    """In the zone of the service, the first hours of the year 1 belong to the year before."""
    new_york = context_with(context, time_zone=ZoneInfo("America/New_York"))
    change(context, add_contact(context), "0001-01-01 02:00+00")
    change(context, add_contact(context), "0001-01-02 12:00+00")
    start = settings_for().start.replace(year=1, month=1, day=1)
    assert [row[-1] for row in rows(new_york, start=start)] == ["", "0001-01-02 07:03:58"]


def test_columns_of_a_view_are_written_by_their_types(context: Context):
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT id, origin_kind, origin_id,"
        " 'infinity'::text AS first_name, 'infinity'::date AS email, '24:00'::time AS company FROM customer;"
        " INSERT INTO customer (id, origin_kind, origin_id) VALUES (1, 'form', 123)",
    )
    change(context, 1, "2012-02-09 00:00+00")
    assert rows(context, contact_fields=(1, 3, 18)) == [["1", "infinity", "", "24:00:00", "2012-02-09 00:00:00"]]
