"""Feeds that pause themselves rather than send a short file or other columns, and what they tell about it."""

import json
from datetime import timedelta

import pytest

from contactexport.context import Context
from contactexport.errors import InvalidRequest
from contactexport.exports import notify as notify_export
from contactexport.exports.sweep import sweep
from contactexport.feeds import manage
from contactexport.feeds import notify as feed_notify
from contactexport.feeds import run as feed_run
from contactexport.feeds.models import Feed
from tests.support.exporting import PASSWORD, TESTER, add_contact, database_time, execute, row_of
from tests.support.feeds import (
    add_feed,
    attempt,
    events_of,
    feed_of,
    let_pass_for_feeds,
    lines_of,
    log_pruned_until,
    rename_field,
    run_feed,
    runs_of,
    to_ftp,
)
from tests.support.ftp_hosts import free_port
from tests.support.notification_receiver import receiver, status

DAY = timedelta(days=1)


def notify_all(context: Context) -> None:
    """Sends every notification of a feed that is due."""
    with context.database.transaction() as conn:
        due = feed_notify.due(conn)
    for event_id in due:
        feed_notify.notify(context, event_id, notify_export.RETRY_SECONDS, answer_seconds=0.3)


def test_renamed_field_pauses_the_feed_and_resume_accepts_it_with_a_file_of_all_contacts(context: Context):
    anna = add_contact(context, first_name="Anna")
    feed = add_feed(context)
    first = run_feed(context, feed)
    rename_field(context, 1, "Given name")
    refused = run_feed(context, feed)
    reason = (
        "The columns would change from user_id, First Name, E-Mail, last update, change to user_id, Given name, "
        "E-Mail, last update, change. Resume the feed to export all contacts with these"
    )
    assert (refused.status, refused.error) == ("error", reason)
    paused = feed_of(context, feed.id)
    assert (paused.pause_kind, paused.pause_reason, paused.paused_by) == ("columns", reason, None)
    assert (paused.cursor, paused.sequence) == (first.effective_until, 1)
    assert events_of(context, feed) == [("feed paused", reason)]
    resumed = manage.resume(context, paused, TESTER)
    assert (resumed.paused_at, resumed.cursor) == (None, None)
    second = run_feed(context, feed)
    assert (second.status, second.settings.type, second.feed_sequence) == ("done", "full", 2)
    assert lines_of(context, second)[0] == "user_id,Given name,E-Mail,last update,change"
    assert lines_of(context, second)[1].split(",")[0] == str(anna)
    assert run_feed(context, feed).settings.type == "changes"


def test_name_in_another_language_changes_nothing(context: Context):
    feed = add_feed(context, language="en")
    run_feed(context, feed)
    execute(context, "UPDATE contact_field SET names = jsonb_set(names, '{de}', '\"Rufname\"') WHERE id = 1")
    assert run_feed(context, feed).status == "done"


def test_field_that_is_gone_pauses_the_feed_until_it_has_others(context: Context):
    feed = add_feed(context, contact_fields=(1, 3, 106533))
    run_feed(context, feed)
    execute(context, "DELETE FROM contact_field WHERE id = 106533")
    assert run_feed(context, feed).error == (
        "Contact fields are gone: 106533. Resume the feed once it has other contact_fields"
    )
    paused = feed_of(context, feed.id)
    with pytest.raises(InvalidRequest, match="Invalid contact field id: 106533"):
        manage.resume(context, paused, TESTER)
    settings = add_feed(context, "other").settings
    wanted = manage.WantedFeed(feed.name, settings, None, feed.schedule)
    changed = manage.change(context, paused, wanted, TESTER, same=("ftp_settings", "notification_url"))
    assert manage.resume(context, changed, TESTER).paused_at is None
    assert run_feed(context, feed).settings.type == "full"


def test_field_that_is_gone_before_the_first_run_pauses_the_feed_too(context: Context):
    feed = add_feed(context, contact_fields=(1, 106533))
    execute(context, "DELETE FROM contact_field WHERE id = 106533")
    assert run_feed(context, feed).status == "error"
    assert feed_of(context, feed.id).pause_kind == "columns"


def test_feed_that_was_paused_while_the_log_was_pruned_offers_a_reset_and_sends_no_short_file(context: Context):
    gone, stays = add_contact(context, first_name="gone"), add_contact(context, first_name="stays")
    feed = add_feed(context)
    run_feed(context, feed)
    manage.pause(context, feed, TESTER)
    execute(context, "DELETE FROM contact WHERE id = %s", (gone,))
    log_pruned_until(context, database_time(context))
    let_pass_for_feeds(context, 31 * DAY)
    manage.resume(context, feed, TESTER)
    sweep(context)
    (_, run) = runs_of(context, feed)
    refused = attempt(context, run["id"])
    assert refused.status == "error"
    assert "`flask feeds reset nightly --full` starts anew" in refused.error
    assert not (context.settings.storage_dir / refused.file_name).exists()
    paused = feed_of(context, feed.id)
    assert (paused.pause_kind, paused.pause_reason) == ("log", refused.error)
    assert feed_run.start_due(context) == 0
    with pytest.raises(InvalidRequest, match=r"cannot go on: .* --full"):
        manage.resume(context, paused, TESTER)
    reset = manage.reset(context, paused, None, TESTER)
    assert (reset.paused_at, reset.cursor, reset.sequence) == (None, None, 1)
    whole = run_feed(context, feed)
    assert (whole.settings.type, whole.feed_sequence) == ("full", 2)
    assert [line.split(",")[0] for line in lines_of(context, whole)[1:]] == [str(stays)]
    assert run_feed(context, feed).status == "done"
    assert [event for event, _ in events_of(context, feed)] == ["feed paused"]


def test_log_that_is_pruned_only_up_to_the_cursor_does_no_harm(context: Context):
    feed = add_feed(context)
    first = run_feed(context, feed)
    log_pruned_until(context, first.effective_until)
    assert run_feed(context, feed).status == "done"


def test_feed_without_removed_contacts_does_not_need_their_log(context: Context):
    feed = add_feed(context, removed=False)
    run_feed(context, feed)
    execute(context, "UPDATE contact_log_horizon SET removals_from = clock_timestamp()")
    assert run_feed(context, feed).status == "done"


def test_clock_that_was_set_back_by_more_than_a_day_pauses_the_feed(context: Context):
    """The log hides it for a day only. After that, changes would lie before the cursor and never be exported."""
    feed = add_feed(context)
    run_feed(context, feed)
    execute(context, "UPDATE feed SET cursor = cursor + interval '23 hours'")
    assert run_feed(context, feed).status == "done"
    execute(context, "UPDATE feed SET cursor = cursor + interval '2 hours'")
    refused = run_feed(context, feed)
    assert (refused.status, feed_of(context, feed.id).pause_kind) == ("error", "log")
    assert "The clock was set back" in refused.error


def test_columns_that_change_while_the_run_waits_are_seen(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    rename_field(context, 3, "Mail")
    assert attempt(context, export_id).status == "error"
    assert feed_of(context, feed.id).pause_kind == "columns"


def test_feed_that_was_reset_meanwhile_is_not_paused_by_its_old_run(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    manage.reset(context, feed, None, TESTER)
    assert row_of(context, export_id)["error"] == "cancelled"
    assert feed_of(context, feed.id).paused_at is None


def test_pause_by_itself_notifies_once(context: Context):
    with receiver(status(500), status(204)) as there:
        feed = add_feed(context, notification_url=there.url("/told"))
        run_feed(context, feed)
        rename_field(context, 1, "Given name")
        run_feed(context, feed)
        notify_all(context)
        execute(context, "UPDATE feed_event SET notify_due_at = clock_timestamp() WHERE notify_due_at IS NOT NULL")
        for _ in range(3):
            sweep(context)
            notify_all(context)
    refused, taken = there.received
    assert refused.headers["Idempotency-Key"] == taken.headers["Idempotency-Key"]
    assert taken.headers["X-Contactexport-Signature"].startswith("sha256=")
    told = json.loads(taken.body)
    assert (told["event"], told["feed"], told["sequence"]) == ("feed paused", "nightly", 1)
    assert told["reason"] == feed_of(context, feed.id).pause_reason


def late(context: Context, feed: Feed, after: timedelta) -> list[tuple[str, str]]:
    """What was told by a sweep when the feed's due time has been over for so long."""
    let_pass_for_feeds(context, feed.due_at - database_time(context) + after)
    sweep(context)
    return events_of(context, feed)


def test_feed_that_is_late_by_more_than_its_interval_notifies_once_until_the_next_file(context: Context):
    with receiver() as there:
        feed = add_feed(context, notification_url=there.url())
        assert late(context, feed, timedelta(hours=23)) == []
        (run,) = runs_of(context, feed)
        assert late(context, feed, timedelta(hours=25)) == [("feed late", f"Export {run['id']} is scheduled")]
        for _ in range(3):
            sweep(context)
            notify_all(context)
        assert len(there.received) == 1
        assert json.loads(there.received[0].body)["event"] == "feed late"
        assert attempt(context, run["id"]).status == "done"
        assert feed_of(context, feed.id).late_told_at is None
        later = feed_of(context, feed.id)
        assert [event for event, _ in late(context, later, timedelta(hours=25))] == ["feed late"] * 2


def test_feed_is_late_because_of_a_run_that_cannot_be_delivered(context: Context):
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    assert late(context, feed, timedelta(minutes=1)) == []
    (run,) = runs_of(context, feed)
    failed = attempt(context, run["id"])
    assert late(context, feed, timedelta(hours=25)) == [("feed late", f"Export {run['id']} is ready: {failed.error}")]


def test_paused_feed_is_not_late(context: Context):
    feed = add_feed(context)
    manage.pause(context, feed, TESTER)
    assert late(context, feed, 30 * DAY) == []
    resumed = manage.resume(context, feed, TESTER)
    assert resumed.late_at > database_time(context)
    sweep(context)
    assert events_of(context, feed) == []


def test_feed_without_schedule_is_never_late(context: Context):
    feed = add_feed(context, cron=None)
    let_pass_for_feeds(context, 1000 * DAY)
    sweep(context)
    assert events_of(context, feed) == []


def test_run_that_is_asked_for_does_not_hide_that_the_next_one_is_late(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    assert feed_of(context, feed.id).late_at == feed.late_at
