"""Windows requested over HTTP: clock changes, odd zones, leap days, ends of months, microseconds."""

import csv
import io
import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from contactexport.exports import run
from tests.support.exporting import context_with, execute

EARLIER = "Invalid value for end_date: end_date is earlier than the start_date"
INVALID = "Valid start_date and end_date is required"
MOMENT = timedelta(microseconds=1)
HALF_AN_HOUR = timedelta(minutes=30)
A_DAY = timedelta(days=1)


class Service:
    """The service in one time zone, and its caller."""

    def __init__(self, api, context, zone):
        self.zone = ZoneInfo(zone)
        self._context = context_with(context, time_zone=self.zone, requests_per_minute=10**6)
        self._api = api
        api.application.extensions["contactexport"] = self._context

    def ask(self, start, end):
        body = {"distribution_method": "local", "origin": "all", "time_range": [start, end], "contact_fields": [1]}
        return self._api.post("/api/v2/contact/getchanges", json=body | {"add_field_names_header": 0})

    def refusal(self, start, end):
        answer = self.ask(start, end)
        assert (answer.status_code, answer.json["replyCode"]) == (400, 10001)
        return answer.json["replyText"]

    def window(self, start, end):
        """The window in the status, and `last update` of each contact in the file."""
        answer = self.ask(start, end)
        assert answer.status_code == 200, answer.text
        export = answer.json["data"]["id"]
        run.run(self._context, export)
        status = self._api.get(f"/api/v2/export/{export}").json["data"]
        assert (status["status"], status["next_from"]) == ("done", status["time_range"][1])
        with self._api.get(f"/api/v2/export/{export}/data") as file:
            lines = list(csv.reader(io.StringIO(file.text)))
        return status["time_range"], {int(contact): last for contact, _name, last in lines}

    def shown(self, moment):
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"


@pytest.fixture
def service(api, context):
    return lambda zone: Service(api, context, zone)


def changed(context, moments):
    """Adds a contact for each time, changed then. Returns the times by contact."""
    added = "INSERT INTO contact (id, origin_kind, origin_id) SELECT n, 'form', 123 FROM generate_series(1, %s) AS n"
    execute(context, added, (len(moments),))
    execute(context, "DELETE FROM contact_change")
    logged = "INSERT INTO contact_change SELECT n, 'form', 123, at FROM unnest(%s) WITH ORDINALITY AS m (at, n)"
    execute(context, logged, (list(moments),))
    return dict(enumerate(moments, 1))


def around(first, last, step):
    """Times from first to last, each with its neighbours a microsecond away."""
    count = (last - first) // step
    return [first + number * step + near for number in range(count + 1) for near in (-MOMENT, 0 * MOMENT, MOMENT)]


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Zone, first local time, step, number of steps, and the starts of windows that no clock there has ever shown.
LAID = [
    ("Europe/Vienna", "2012-03-25 00:30:00", HALF_AN_HOUR, 8, ["2012-03-25 02:00:00", "2012-03-25 02:30:00"]),
    ("Europe/Vienna", "2012-10-28 01:00:00", HALF_AN_HOUR, 8, []),
    ("Australia/Sydney", "2012-10-07 01:00:00", HALF_AN_HOUR, 6, ["2012-10-07 02:00:00", "2012-10-07 02:30:00"]),
    ("Australia/Sydney", "2012-04-01 01:30:00", HALF_AN_HOUR, 6, []),
    ("Australia/Lord_Howe", "2012-10-07 01:00:00", HALF_AN_HOUR, 6, ["2012-10-07 02:00:00"]),
    ("Australia/Lord_Howe", "2012-04-01 00:45:00", HALF_AN_HOUR, 6, []),
    ("America/St_Johns", "2011-11-04 00:00:00", A_DAY, 4, []),  # at a minute past midnight an hour back
    ("America/Sao_Paulo", "2012-10-19 00:00:00", A_DAY, 4, []),  # no midnight on 21 October
    ("Asia/Kathmandu", "2012-02-27 00:00:00", A_DAY, 4, []),
    ("Pacific/Apia", "2011-12-28 00:00:00", A_DAY, 5, ["2011-12-30 00:00:00"]),
]


@pytest.mark.parametrize(("zone", "first", "step", "count", "unreal"), LAID)
def test_consecutive_windows_by_local_times_have_no_gap_and_no_overlap(
    service, context, zone, first, step, count, unreal
):
    asked = service(zone)
    borders = [f"{datetime.fromisoformat(first) + number * step:%Y-%m-%d %H:%M:%S}" for number in range(count + 1)]
    start, end = (datetime.fromisoformat(borders[at]).replace(tzinfo=asked.zone).astimezone(UTC) for at in (0, -1))
    contacts = changed(context, around(start, end, step / 2))
    told, edge, refused = {}, start, []
    for border, following in itertools.pairwise(borders):
        if border in unreal:
            refused.append(asked.refusal(border, following))
            continue
        window, lines = asked.window(border, following)
        begun, ended = map(datetime.fromisoformat, window)
        assert begun == edge
        assert lines == {one: asked.shown(at) for one, at in contacts.items() if begun <= at < ended}
        told, edge = told | lines, ended
    assert edge == end
    assert told.keys() == {one for one, at in contacts.items() if start <= at < end}
    assert refused == [EARLIER] * len(unreal)


MEANT = [
    ("Europe/Vienna", "2012-03-25 02:30", "2012-03-25T03:00:00+02:00"),
    ("Europe/Vienna", "2012-10-28 02:30", "2012-10-28T02:30:00+02:00"),
    ("Europe/Vienna", "2012-10-28 03:00", "2012-10-28T03:00:00+01:00"),
    ("Australia/Lord_Howe", "2012-04-01 01:45", "2012-04-01T01:45:00+11:00"),
    ("Australia/Lord_Howe", "2012-04-01 02:00", "2012-04-01T02:00:00+10:30"),
    ("Asia/Kathmandu", "2012-02-29", "2012-02-29T00:00:00+05:45"),
    ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"),
]


def test_status_shows_how_a_local_time_was_read(service):
    for zone, bare, meant in MEANT:
        assert service(zone).window("2011-01-01", bare)[0][1] == meant


def test_hour_that_comes_twice_is_selected_by_offset(service, context):
    """`last update` shows the same time of day for both."""
    asked = service("Europe/Vienna")
    contacts = changed(context, [utc("2012-10-28T00:30"), utc("2012-10-28T01:30")])
    assert asked.window("2012-10-28T02:00:00+02:00", "2012-10-28T02:00:00+01:00")[1] == {1: "2012-10-28 02:30:00"}
    assert asked.window("2012-10-28T02:00:00+01:00", "2012-10-28T03:00:00+01:00")[1] == {2: "2012-10-28 02:30:00"}
    assert asked.window("2012-10-28 02:00", "2012-10-28 03:00")[1].keys() == contacts.keys()


@pytest.mark.parametrize(("day", "following"), [("2012-02-29", "2012-03-01"), ("2000-02-29", "2000-03-01")])
def test_leap_day_is_one_window(service, context, day, following):
    asked = service("UTC")
    midnight = utc(day)
    changed(context, [midnight - MOMENT, midnight, midnight + A_DAY - MOMENT, midnight + A_DAY])
    assert asked.window(day, following)[1] == {2: f"{day} 00:00:00", 3: f"{day} 23:59:59"}


def test_february_29_in_other_years_is_refused(service):
    for window in [
        ("2011-02-29", "2011-03-01"),
        ("2011-02-28", "2011-02-29"),
        ("1900-02-29", "1900-03-01"),
        ("1900-02-28 12:00", "1900-02-29 12:00"),
        ("2011-02-29T00:00:00Z", "2011-03-01T00:00:00Z"),
    ]:
        assert service("UTC").refusal(*window) == INVALID


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2012-02-09T08:30:00.123456Z", "2012-02-09T08:30:00.123459Z"),
        ("2012-02-09T14:15:00.123456+05:45", "2012-02-08T22:30:00.123459-10:00"),
    ],
)
def test_window_borders_are_exact_to_the_microsecond(service, context, start, end):
    first = utc("2012-02-09T08:30:00.123456")
    changed(context, [first + number * MOMENT for number in (-1, 0, 1, 2, 3)])
    window, lines = service("Asia/Kathmandu").window(start, end)
    assert list(lines) == [2, 3, 4]
    assert window == ["2012-02-09T14:15:00.123456+05:45", "2012-02-09T14:15:00.123459+05:45"]


def test_seventh_fraction_digit_is_refused(service):
    assert service("UTC").refusal("2012-02-09T08:30:00.1234567Z", "2012-02-10T08:30:00Z") == INVALID


def test_change_at_the_last_microsecond_of_a_month_is_in_its_window(service, context):
    execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    border = utc("2012-03-01")
    changed(context, [border - MOMENT, border])
    parts = execute(context, "SELECT tableoid::regclass::text AS part FROM contact_change ORDER BY changed_at")
    assert [row["part"] for row in parts] == ["contact_change_2012_02", "contact_change_2012_03"]
    asked = service("UTC")
    assert list(asked.window("2012-02-01", "2012-03-01")[1]) == [1]
    assert list(asked.window("2012-03-01", "2012-04-01")[1]) == [2]
    # A month elsewhere reaches into two months of the log.
    assert list(service("Europe/Vienna").window("2012-03-01", "2012-04-01")[1]) == [1, 2]
    assert list(service("America/St_Johns").window("2012-02-01", "2012-03-01")[1]) == [1, 2]


def test_command_line_uses_the_same_borders(service, context, runner):
    asked = service("Pacific/Apia")
    changed(context, [utc("2011-12-30T09:59:59"), utc("2011-12-30T10:00")])

    def export(start, end):
        options = ["--origin", "all", "--fields", "1", "--no-header", "--output", "-"]
        return runner.invoke(args=["export", "changes", *options, "--from", start, "--to", end])

    assert export("2011-12-29", "2011-12-30").stdout == "1,,2011-12-29 23:59:59\n"
    assert export("2011-12-31", "2012-01-01").stdout == f"2,,{asked.shown(utc('2011-12-30T10:00'))}\n"
    unreal = export("2011-12-30", "2011-12-31")
    assert (unreal.exit_code, EARLIER in unreal.stderr) == (2, True)
