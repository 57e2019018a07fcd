"""A feed as the line of its windows."""

from datetime import UTC, datetime, timedelta

from contactexport.console.feed_lines import Run, draw
from contactexport.exports.models import ALL_TIME, ExportSettings
from contactexport.feeds.models import Feed

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SINCE = NOW - timedelta(days=10)  # so that a day is 100 wide
MOST = 40


def day(number: float) -> datetime:
    return SINCE + timedelta(days=number)


def feed(**changes) -> Feed:
    settings = ExportSettings("local", "all", (), *ALL_TIME, (1,), ",", True, "en")
    values = dict.fromkeys(Feed.__dataclass_fields__)
    return Feed(**values | {"name": "nightly", "settings": settings, "created_at": day(-30)} | changes)


def run(start: float | None, end: float, status: str = "done") -> Run:
    moments = [None if one is None else day(one).timestamp() for one in (start, end if status == "done" else None)]
    return Run(status, *moments, day(end).timestamp() + 60)


def drawn(runs, late=(), most=MOST, **changes):
    return draw(feed(**changes), runs, late, SINCE, NOW, most)


def test_windows_are_blocks_as_wide_as_they_are_long():
    line = drawn([run(0, 5), run(5, 8)], cursor=day(8))
    assert line.paths["done"] == "M0 5h499v14h-499zM500 5h299v14h-299z"
    assert line.paths["open"] == "M800 11h199v2h-199z"
    assert line.text == "2 files"


def test_first_file_of_all_contacts_covers_the_time_since_the_feed_was_made():
    line = drawn([run(None, 5)], created_at=day(3))
    assert line.paths["done"] == "M300 5h199v14h-199z"


def test_file_that_came_after_the_feed_was_late_has_another_form():
    line = drawn([run(0, 2), run(2, 8), run(8, 9)], late=[day(4)])
    assert line.paths["late"] == "M200 1h599v22h-599z"
    assert line.text == "3 files, 1 late"


def test_failed_run_is_a_mark_where_it_ended_and_covers_nothing():
    line = drawn([run(0, 2), run(2, 5, "error"), run(2, 6)])
    assert line.paths["failed"].startswith("M500 24")
    assert line.text == "2 files, 1 failed"
    assert "gap" not in line.paths


def test_gap_that_a_reset_has_left_is_drawn_and_told():
    line = drawn([run(0, 2), run(4, 8)])
    assert line.paths["gap"] == "M200 12h199v0h-199z"
    assert line.text == "2 files, 1 gap"


def test_time_since_the_last_file_says_how_the_feed_is():
    runs = [run(0, 5)]
    assert "overdue" in drawn(runs, late_told_at=day(9)).paths
    assert "paused" in drawn(runs, late_told_at=day(9), paused_at=day(9)).paths
    assert "running" in drawn(runs, running_export=7).paths


def test_oldest_of_too_many_windows_are_one_block():
    line = drawn([run(7 + number / 10, 7.1 + number / 10) for number in range(3)], most=3)
    assert line.paths["earlier"] == "M0 11h699v2h-699z"
    assert line.text == "3 files, and earlier ones"


def test_windows_outside_of_the_line_are_neither_drawn_nor_counted():
    line = drawn([run(-9, -3), run(-3, 1)])
    assert line.paths["done"] == "M0 5h99v14h-99z"
    assert line.text == "1 file"


def test_window_of_seconds_is_wide_enough_to_be_seen():
    line = drawn([run(9.99999, 10)])
    assert line.paths["done"] == "M997 5h3v14h-3z"
