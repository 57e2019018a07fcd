"""When a schedule comes, also where the clock changes: by an hour in Vienna, by half an hour on Lord Howe Island."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from contactexport.errors import InvalidRequest
from contactexport.feeds.schedule import due_and_late, next_time, require_valid

VIENNA = ZoneInfo("Europe/Vienna")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# The changes of 2026. On Lord Howe Island the clock changes by half an hour.
VIENNA_FORWARD, VIENNA_BACK = "2026-03-29", "2026-10-25"
HOWE_FORWARD, HOWE_BACK = "2026-10-04", "2026-04-05"


def times(schedule: str, start: str, zone: ZoneInfo, count: int) -> list[str]:
    """The next times as the clock shows them, with the offset."""
    after, found = datetime.fromisoformat(start).replace(tzinfo=zone), []
    for _ in range(count):
        after = next_time(schedule, after, zone)
        found.append(after.astimezone(zone).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    "zone, day, schedule, expected",
    [
        # The clock skips 02:00 to 03:00: the run comes right after. The day before and after are as always.
        (VIENNA, VIENNA_FORWARD, "30 2 * * *", ["03:00+02:00", "02:30+02:00"]),
        (VIENNA, VIENNA_FORWARD, "0 2 * * *", ["03:00+02:00", "02:00+02:00"]),
        (VIENNA, VIENNA_FORWARD, "0 3 * * *", ["03:00+02:00", "03:00+02:00"]),
        # It shows 02:00 to 03:00 twice: the run comes once.
        (VIENNA, VIENNA_BACK, "30 2 * * *", ["02:30+02:00", "02:30+01:00"]),
        (VIENNA, VIENNA_BACK, "0 3 * * *", ["03:00+01:00", "03:00+01:00"]),
        # It skips 02:00 to 02:30.
        (LORD_HOWE, HOWE_FORWARD, "15 2 * * *", ["02:30+11:00", "02:15+11:00"]),
        # It shows 01:30 to 02:00 twice.
        (LORD_HOWE, HOWE_BACK, "45 1 * * *", ["01:45+11:00", "01:45+10:30"]),
        (LORD_HOWE, HOWE_BACK, "0 2 * * *", ["02:00+10:30", "02:00+10:30"]),
    ],
)
def test_time_of_day_comes_once_on_every_day(zone, day, schedule, expected):
    found = times(schedule, day, zone, 2)
    following = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
    assert found == [f"{day}T{expected[0]}", f"{following}T{expected[1]}"]


def test_schedule_of_every_hour_follows_real_time():
    assert times("0 * * * *", f"{VIENNA_BACK}T01:30", VIENNA, 4) == [
        f"{VIENNA_BACK}T02:00+02:00",
        f"{VIENNA_BACK}T02:00+01:00",
        f"{VIENNA_BACK}T03:00+01:00",
        f"{VIENNA_BACK}T04:00+01:00",
    ]
    assert times("0 * * * *", f"{VIENNA_FORWARD}T00:30", VIENNA, 3) == [
        f"{VIENNA_FORWARD}T01:00+01:00",
        f"{VIENNA_FORWARD}T03:00+02:00",
        f"{VIENNA_FORWARD}T04:00+02:00",
    ]


def test_every_other_hour_loses_no_time_where_the_clock_changes_by_half_an_hour():
    assert times("0 */2 * * *", f"{HOWE_BACK}T00:00", LORD_HOWE, 2) == [
        f"{HOWE_BACK}T02:00+10:30",
        f"{HOWE_BACK}T04:00+10:30",
    ]
    assert times("*/15 * * * *", f"{HOWE_BACK}T01:30", LORD_HOWE, 4) == [
        f"{HOWE_BACK}T01:45+11:00",
        f"{HOWE_BACK}T01:30+10:30",
        f"{HOWE_BACK}T01:45+10:30",
        f"{HOWE_BACK}T02:00+10:30",
    ]


@pytest.mark.parametrize(
    "zone, day, schedule", [(VIENNA, VIENNA_BACK, "30 2 * * *"), (LORD_HOWE, HOWE_BACK, "45 1 * * *")]
)
def test_time_that_is_shown_twice_is_over_after_the_first(zone, day, schedule):
    minute, hour, *_ = map(int, schedule.split()[:2])
    second = datetime.fromisoformat(day).replace(hour=hour, minute=minute - 10, fold=1, tzinfo=zone).astimezone(UTC)
    assert next_time(schedule, second, zone).astimezone(zone).date().isoformat() > day


ZONES = st.sampled_from([VIENNA, LORD_HOWE, ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")])
PARTS = st.tuples(
    st.sampled_from(["0", "30", "*/7", "*", "15,45", "59"]), st.sampled_from(["2", "*", "*/2", "1-3", "0", "23"])
)
# Around the changes of 2026 in those zones, and anywhere else.
STARTS = st.one_of(
    st.sampled_from(
        [VIENNA_FORWARD, VIENNA_BACK, HOWE_FORWARD, HOWE_BACK, "2026-03-08", "2026-11-01", "2026-06-15"]
    ).flatmap(
        lambda day: st.integers(-2000, 2000).map(
            lambda minutes: datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes)
        )
    ),
    st.integers(0, 730 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes)),
)


@given(PARTS, ZONES, STARTS)
def test_next_time_is_later_and_the_first_that_the_clock_shows(parts, zone, after):
    schedule = f"{parts[0]} {parts[1]} * * *"
    found = next_time(schedule, after, zone)
    assert after < found
    if parts[0].startswith("*") or parts[1].startswith("*"):
        assert found == first_shown(schedule, after, zone)


def first_shown(schedule: str, after: datetime, zone: ZoneInfo) -> datetime:
    """Looks at the clock every minute."""
    moment = after.replace(second=0, microsecond=0)
    while True:
        moment += timedelta(minutes=1)
        wall = moment.astimezone(zone).replace(tzinfo=None)
        if next(CronSim(schedule, wall - timedelta(seconds=1))) == wall:
            return moment


@pytest.mark.parametrize(
    "schedule, reason",
    [
        ("", "as in cron expected"),
        ("@daily", "as in cron expected"),
        ("0 2 * *", "as in cron expected"),
        ("0 0 2 * * *", "as in cron expected"),
        ("60 2 * * *", "bad minute"),
        ("0 2 * * mond", "bad day-of-week"),
        ("0 2 * 13 *", "bad month"),
        ("0 0 32 * *", "bad day-of-month"),
        ("0 0 30 2 *", "there is no such day"),
        ("0 0 31 4,6 *", "there is no such day"),
        ("9" * 300 + " * * * *", "as in cron expected"),
    ],
)
def test_schedule_that_never_comes_is_refused(schedule, reason):
    with pytest.raises(InvalidRequest, match="Invalid value for schedule") as refusal:
        require_valid(schedule, NOW, VIENNA)
    assert reason in refusal.value.text


def test_leap_day_comes_in_the_next_leap_year():
    assert require_valid(" 0  0 29 2 * ", NOW, VIENNA) == "0 0 29 2 *"
    assert next_time("0 0 29 2 *", NOW, UTC) == datetime(2028, 2, 29, tzinfo=UTC)


def test_feed_without_schedule_is_never_due():
    assert due_and_late(None, NOW, VIENNA) == (None, None)


def test_feed_is_late_at_the_time_after_the_one_it_is_due():
    assert due_and_late("0 2 * * *", NOW, UTC) == (NOW.replace(hour=2), NOW.replace(day=2, hour=2))
