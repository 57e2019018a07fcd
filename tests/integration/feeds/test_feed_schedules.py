"""Which feeds the sweep starts, and when they are due again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from contactexport.context import Context
from contactexport.exports import cancel
from contactexport.exports import store as export_store
from contactexport.exports.sweep import sweep
from contactexport.feeds import manage, schedule
from contactexport.feeds import run as feed_run
from contactexport.feeds.models import Feed
from tests.support.exporting import PASSWORD, TESTER, database_time, execute, lose_messages, request, settings_for
from tests.support.feeds import add_feed, attempt, feed_of, let_pass_for_feeds, run_feed, runs_of, to_ftp
from tests.support.ftp_hosts import free_port

DAY = timedelta(days=1)


def make_due(context: Context, feed: Feed, ago: timedelta = timedelta(seconds=1)) -> None:
    """Moves the clock to shortly after the feed's next time."""
    assert feed.due_at is not None
    let_pass_for_feeds(context, feed.due_at - database_time(context) + ago)


def test_sweep_starts_a_feed_when_it_is_due_and_only_once(context: Context):
    feed = add_feed(context)
    sweep(context)
    assert runs_of(context, feed) == []
    make_due(context, feed)
    assert sweep(context) == 1
    assert sweep(context) == 0
    (run,) = runs_of(context, feed)
    assert run["status"] == "scheduled"
    assert feed_of(context, feed.id).due_at > database_time(context)
    assert attempt(context, run["id"]).status == "done"
    sweep(context)
    assert len(runs_of(context, feed)) == 1


def test_due_time_is_the_next_one_of_the_schedule(context: Context):
    feed = add_feed(context, cron="*/10 * * * *")
    make_due(context, feed)
    feed_run.start_due(context)
    after, now = feed_of(context, feed.id), database_time(context)
    due, late = schedule.due_and_late("*/10 * * * *", now, context.settings.time_zone)
    assert (after.due_at, after.next_late_at) == (due, late)


def test_missed_times_are_made_up_once(context: Context):
    feed = add_feed(context)
    make_due(context, feed, ago=5 * DAY)
    assert feed_run.start_due(context) == 1
    (run,) = runs_of(context, feed)
    assert attempt(context, run["id"]).status == "done"
    assert feed_run.start_due(context) == 0


def test_every_minute_with_runs_of_two_minutes_starts_one_after_the_other(context: Context):
    """A time that comes while the last run is unfinished is made up when it has ended."""
    feed = add_feed(context, cron="* * * * *")
    let_pass_for_feeds(context, timedelta(minutes=1))
    assert feed_run.start_due(context) == 1
    for _ in range(3):
        let_pass_for_feeds(context, timedelta(minutes=1))
        assert feed_run.start_due(context) == 0
    assert attempt(context, runs_of(context, feed)[-1]["id"]).status == "done"
    assert feed_run.start_due(context) == 1
    assert [run["feed_sequence"] for run in runs_of(context, feed)] == [1, 2]


def test_clock_that_is_set_back_over_the_due_time_starts_nothing_again(context: Context):
    feed = add_feed(context)
    make_due(context, feed)
    assert feed_run.start_due(context) == 1
    attempt(context, runs_of(context, feed)[0]["id"])
    let_pass_for_feeds(context, -timedelta(hours=1))
    assert feed_run.start_due(context) == 0
    cursor = feed_of(context, feed.id).cursor
    execute(context, "UPDATE feed SET cursor = cursor + interval '1 hour'")  # the clock is behind the last window
    empty = run_feed(context, feed)
    assert (empty.rows, empty.effective_until) == (0, cursor + timedelta(hours=1))


def test_due_time_that_was_set_by_a_clock_of_the_future_comes_back(context: Context):
    """The clock was wrong by years when the feed was started. It would wait for years."""
    feed = add_feed(context)
    let_pass_for_feeds(context, -1000 * DAY)
    assert feed_run.start_due(context) == 0
    now = database_time(context)
    due, _ = schedule.due_and_late(feed.schedule, now, context.settings.time_zone)
    assert feed_of(context, feed.id).due_at == due


def test_schedule_that_is_far_away_stays_as_it_is(context: Context):
    feed = add_feed(context, cron="0 0 29 2 *")
    feed_run.start_due(context)
    assert feed_of(context, feed.id) == feed


def test_run_that_is_asked_for_does_not_take_the_place_of_the_one_that_is_due(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    assert feed_of(context, feed.id).due_at == feed.due_at
    make_due(context, feed)
    run_feed(context, feed)  # a missed time is made up by any run
    assert feed_of(context, feed.id).due_at > database_time(context)


def test_feed_without_schedule_runs_only_when_asked(context: Context):
    feed = add_feed(context, cron=None)
    let_pass_for_feeds(context, 1000 * DAY)
    assert feed_run.start_due(context) == 0
    assert run_feed(context, feed).status == "done"
    assert feed_of(context, feed.id).due_at is None


def test_paused_feed_makes_up_once_what_it_has_missed(context: Context):
    feed = add_feed(context)
    manage.pause(context, feed, TESTER)
    make_due(context, feed, ago=3 * DAY)
    assert feed_run.start_due(context) == 0
    manage.resume(context, feed, TESTER)
    assert feed_run.start_due(context) == 1
    assert feed_run.start_due(context) == 0


def test_failed_run_waits_for_the_next_time(context: Context):
    feed = add_feed(context)
    make_due(context, feed)
    feed_run.start_due(context)
    cancel.cancel(context, runs_of(context, feed)[0]["id"], TESTER)
    assert feed_run.start_due(context) == 0
    make_due(context, feed_of(context, feed.id))
    assert feed_run.start_due(context) == 1
    assert [run["feed_sequence"] for run in runs_of(context, feed)] == [1, 1]


def test_many_sweeps_at_once_start_each_feed_once(context: Context):
    feeds = [add_feed(context, f"feed-{number}") for number in range(60)]
    make_due(context, feeds[0])
    barrier = threading.Barrier(4)

    def one(_number: int) -> int:
        barrier.wait()
        return feed_run.start_due(context)

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(one, range(4))) == 60
    assert execute(context, "SELECT count(*) AS n, count(DISTINCT feed_id) AS feeds FROM export")[0] == {
        "n": 60,
        "feeds": 60,
    }


def test_thousand_feeds_due_at_once_start_all_and_nobody_is_starved(context: Context):
    """A user with 1,000 feeds, another one with one, and a single export."""
    feed = add_feed(context, "first", created_by="anna", cron="0 2 * * *")
    execute(
        context,
        "INSERT INTO feed (name, team, created_by, settings, schedule, due_at, next_late_at, late_at)"
        " SELECT 'feed-' || n, team, created_by, settings, schedule, due_at, next_late_at, late_at"
        " FROM feed, generate_series(1, 999) AS n",
    )
    add_feed(context, "of-ben", created_by="ben")
    make_due(context, feed)
    assert feed_run.start_due(context) == 1001
    single = request(context, settings_for(language="de"))
    with context.database.autocommit() as conn:
        chosen = [one for one, _ in export_store.in_turn(conn, deliveries=False, most_running=1000, most=4)]
    users = [execute(context, "SELECT created_by FROM export WHERE id = %s", (one,))[0]["created_by"] for one in chosen]
    assert sorted(users[:3]) == ["anna", "ben", "tester"]
    assert single in chosen
    lose_messages(context)


def test_feed_whose_run_cannot_be_delivered_for_a_day_goes_on_with_the_next_one(context: Context):
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    make_due(context, feed)
    feed_run.start_due(context)
    (run,) = runs_of(context, feed)
    assert attempt(context, run["id"]).status == "ready"
    make_due(context, feed_of(context, feed.id))
    assert feed_run.start_due(context) == 0  # the delivery is still retried
    execute(context, "UPDATE export SET ready_at = ready_at - interval '25 hours', due_at = clock_timestamp()")
    assert attempt(context, run["id"]).status == "error"
    assert feed_run.start_due(context) == 1
    assert [one["feed_sequence"] for one in runs_of(context, feed)] == [1, 1]


@pytest.mark.parametrize("cron", ["0 2 * * *", None])
def test_change_of_the_schedule_changes_when_it_is_due(context: Context, cron: str | None):
    feed = add_feed(context, cron=cron)
    wanted = manage.WantedFeed(feed.name, feed.settings, None, "30 4 * * *")
    changed = manage.change(context, feed, wanted, TESTER, same=("ftp_settings", "notification_url"))
    assert (changed.due_at.hour, changed.due_at.minute) == (4, 30)
    assert changed.late_at == changed.next_late_at == changed.due_at + DAY
