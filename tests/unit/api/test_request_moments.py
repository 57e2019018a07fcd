"""The dates of a time range: formats, clock changes, and years out of range (contactexport.api.request_fields)."""

import contextlib
from datetime import UTC, datetime, timedelta
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
        ("0001-01-02", "0001-01-01T22:54:39"),  # local mean time
        ("9999-12-31", "9999-12-30T23:00"),
    ],
)
def test_moments_are_utc(text, expected):
    assert moment(text, VIENNA) == utc(expected)


def test_a_bare_time_that_comes_twice_is_the_first_of_the_two():
    assert moment("2012-10-28 02:30", VIENNA) == utc("2012-10-28T00:30")
    assert moment("2012-10-28 03:00", VIENNA) == utc("2012-10-28T02:00")


def test_a_bare_time_that_a_clock_change_leaves_out_has_the_offset_before_it():
    assert moment("2012-03-25 02:30", VIENNA) == utc("2012-03-25T01:30")
    assert moment("2012-03-25 01:59:59", VIENNA) == utc("2012-03-25T00:59:59")


def test_a_day_of_a_clock_change_has_23_or_25_hours():
    spring = moment("2012-03-26", VIENNA) - moment("2012-03-25", VIENNA)
    autumn = moment("2012-10-29", VIENNA) - moment("2012-10-28", VIENNA)
    assert (spring, autumn) == (timedelta(hours=23), timedelta(hours=25))


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
        "2012-02-09 24:01",
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
def test_a_bare_time_outside_the_years_in_utc_is_refused(text, zone):
    with pytest.raises(ValidationError, match=REFUSED):
        moment(text, ZoneInfo(zone))


@given(st.text())
def test_every_text_is_a_moment_or_refused(text):
    with contextlib.suppress(ValidationError):
        assert moment(text, VIENNA).tzinfo is UTC


@given(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - a bare time is what clients send
def test_times_without_an_offset_are_those_of_the_zone(at):
    at = at.replace(microsecond=0, fold=0)  # a bare time does not say which of two it means: the first
    assert moment(at.isoformat(sep=" "), VIENNA) == at.replace(tzinfo=VIENNA).astimezone(UTC)
