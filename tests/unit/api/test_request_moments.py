"""The dates of a time range: formats, clock changes, and years out of range (contactexport.api.request_fields)."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from contactexport.api.request_fields import moment

VIENNA = ZoneInfo("Europe/Vienna")
REFUSED = "Valid start_date and end_date is required"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2012-02-09", "2012-02-08T23:00"),  # midnight in Vienna
        ("2012-02-09 08:30", "2012-02-09T07:30"),
        ("2012-02-09 08:30:15", "2012-02-09T07:30:15"),
        ("2012-07-09 08:30", "2012-07-09T06:30"),  # summer time
        ("2012-02-09T08:30:00+01:00", "2012-02-09T07:30"),
        ("2012-02-09T08:30:00Z", "2012-02-09T08:30"),
        ("2012-02-09T08:30Z", "2012-02-09T08:30"),
        ("2012-02-09 08:30:00.123456Z", "2012-02-09T08:30:00.123456"),
        ("2012-02-09T08:30:00.5Z", "2012-02-09T08:30:00.5"),
        ("2012-02-09T08:30:00+0530", "2012-02-09T03:00"),
        ("2012-02-09T08:30:00-11", "2012-02-09T19:30"),
        ("2012-02-29", "2012-02-28T23:00"),
        ("2000-02-29", "2000-02-28T23:00"),
        ("0001-01-02", "0001-01-01T22:54:39"),  # local mean time
        ("9999-12-31", "9999-12-30T23:00"),
    ],
)
def test_moments_are_utc(text, expected):
    assert moment(text, VIENNA) == utc(expected)


def test_ambiguous_time_is_first_of_two():
    assert moment("2012-10-28 02:30", VIENNA) == utc("2012-10-28T00:30")
    assert moment("2012-10-28 03:00", VIENNA) == utc("2012-10-28T02:00")


def test_skipped_time_is_moment_of_clock_change():
    assert moment("2012-03-25 01:59:59", VIENNA) == utc("2012-03-25T00:59:59")
    for left_out in ("2012-03-25 02:00", "2012-03-25 02:30", "2012-03-25 02:59:59", "2012-03-25 03:00"):
        assert moment(left_out, VIENNA) == utc("2012-03-25T01:00")
    assert moment("2012-03-25 03:00:01", VIENNA) == utc("2012-03-25T01:00:01")


# Days of clock changes and their length in hours. Clocks change at any time of day, by half an hour, by 44.5 minutes,
# or by a whole day.
CHANGES = [
    ("Europe/Vienna", "2012-03-25", 23),
    ("Europe/Vienna", "2012-10-28", 25),
    ("Europe/Dublin", "2012-10-28", 25),
    ("Australia/Sydney", "2012-10-07", 23),
    ("Australia/Sydney", "2012-04-01", 25),
    ("Australia/Lord_Howe", "2012-10-07", 23.5),
    ("Australia/Lord_Howe", "2012-04-01", 24.5),
    ("America/Sao_Paulo", "2012-10-21", 23),  # a day without midnight
    ("America/Sao_Paulo", "2012-02-25", 25),
    ("America/St_Johns", "2011-03-13", 23),
    ("America/St_Johns", "2011-11-06", 25),  # its midnight comes twice, the second time an hour later
    ("Asia/Kathmandu", "1986-01-01", 23.75),
    ("Africa/Monrovia", "1972-01-07", 24 - 44.5 / 60),
    ("Pacific/Apia", "2011-12-30", 0),
    ("Pacific/Kwajalein", "1969-09-30", 47),
]


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_day_of_clock_change_has_more_or_fewer_hours(zone, day, hours):
    following = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    assert moment(following, ZoneInfo(zone)) - moment(day, ZoneInfo(zone)) == timedelta(hours=hours)


@pytest.mark.parametrize(("zone", "day", "_hours"), CHANGES)
def test_later_time_never_means_earlier_moment(zone, day, _hours):
    """Otherwise consecutive windows would overlap."""
    start = datetime.fromisoformat(day) - timedelta(days=1)
    bare = [f"{start + timedelta(seconds=30 * number):%Y-%m-%d %H:%M:%S}" for number in range(3 * 2880)]
    moments = [moment(text, ZoneInfo(zone)) for text in bare]
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2012",
        "2012-02",
        "2012-2-9",
        "20120209",
        "2012-W06-4",
        "2012-040",
        "09/02/2012",
        "2012-02-30",
        "2011-02-29",
        "1900-02-29",
        "2012-13-01",
        "0000-01-01",
        "10000-01-01",
        "-2012-01-01",
        " 2012-02-09",
        "2012-02-09 ",
        "2012-02-09\n",
        "2012-02-09T08:30",  # ISO 8601 only with an offset
        "2012-02-09T08:30:00",
        "2012-02-09 08",
        "2012-02-09 24:00",
        "2012-02-09 24:01",
        "2012-02-09T24:00:00Z",
        "2012-02-09 08:60",
        "2012-02-09 08:30:61",
        "2012-02-09 8:30",
        "2012-02-09 08:30.5",
        "2012-02-09T08:30:00,5Z",
        "2012-02-09T08:30:00z",
        "2012-02-09t08:30:00Z",
        "2012-02-09T08:30:00 Z",
        "2012-02-09T08:30:00+25:00",
        "2012-02-09T08:30:00+01:00:00",
        "2012-02-09T08:30:00.1234567Z",
        "2012-02-09+01:00",
        "２０１２-02-09",
        "٢٠١٢-02-09",
        "2012-02-09\0",
        "now",
        "0001-01-01T00:00+14:00",  # the year 0 in UTC
        "9999-12-31T23:59:59-14:00",
        None,
        True,
        20120209,
        1328745600.0,
        [],
        {},
    ],
)
def test_other_dates_are_refused(value):
    with pytest.raises(ValidationError, match=REFUSED):
        moment(value, VIENNA)


@pytest.mark.parametrize("text, zone", [("0001-01-01", "Europe/Vienna"), ("9999-12-31 23:00", "Etc/GMT+12")])
def test_time_outside_years_in_utc_is_refused(text, zone):
    with pytest.raises(ValidationError, match=REFUSED):
        moment(text, ZoneInfo(zone))


@pytest.mark.parametrize(
    "text, zone",
    [
        ("9999-12-31T23:59:59Z", "Europe/Vienna"),
        ("9999-12-31T23:59:59-00:00", "Pacific/Kiritimati"),
        ("9999-12-31T20:00-03:00", "Asia/Tokyo"),
        ("0001-01-01T00:00Z", "America/New_York"),
        ("0001-01-01T12:00+12:00", "Etc/GMT+12"),
    ],
)
def test_time_outside_years_in_the_time_zone_is_refused(text, zone):
    """No answer could show it."""
    with pytest.raises(ValidationError, match=REFUSED):
        moment(text, ZoneInfo(zone))


@given(st.text())
def test_any_text_is_moment_or_refused(text):
    with contextlib.suppress(ValidationError):
        assert moment(text, VIENNA).tzinfo is UTC


@given(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - a bare time is what clients send
def test_times_without_offset_are_in_time_zone(at):
    at = at.replace(microsecond=0, fold=0)  # a bare time does not say which of two it means: the first
    meant = moment(at.isoformat(sep=" "), VIENNA)
    shown = meant.astimezone(VIENNA).replace(tzinfo=None, fold=0)
    assert meant == at.replace(tzinfo=VIENNA).astimezone(UTC) if shown == at else shown > at  # left out by a change
