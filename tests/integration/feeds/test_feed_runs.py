"""A run of a feed: its window, its columns, and what moves the cursor."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning, ExportLost
from contactexport.exports import cancel, status
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from contactexport.exports.models import ALL_TIME
from contactexport.feeds import manage, store
from contactexport.feeds import run as feed_run
from contactexport.feeds.errors import FeedPaused, UnknownFeed
from tests.support.exporting import PASSWORD, TESTER, add_contact, execute, request, row_of, settings_for
from tests.support.feeds import add_feed, attempt, feed_of, lines_of, run_feed, runs_of, to_ftp
from tests.support.ftp_hosts import free_port


def test_first_run_exports_every_contact_and_the_next_one_what_changed(context: Context):
    anna, ben, carl = (add_contact(context, first_name=name) for name in ("Anna", "Ben", "Carl"))
    add_contact(context, first_name="Elsewhere", origin_id=124)
    feed = add_feed(context)
    first = run_feed(context, feed)
    assert (first.status, first.settings.type, first.feed_name, first.feed_sequence) == ("done", "full", "nightly", 1)
    header, *rows = lines_of(context, first)
    assert header == "user_id,First Name,E-Mail,last update,change"
    assert [row.split(",")[0::4] for row in rows] == [[str(one), "changed"] for one in (anna, ben, carl)]
    execute(context, "UPDATE contact SET first_name = 'Annie' WHERE id = %s", (anna,))
    execute(context, "DELETE FROM contact WHERE id = %s", (ben,))
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (carl,))
    second = run_feed(context, feed)
    assert (second.settings.type, second.feed_sequence) == ("changes", 2)
    assert (second.settings.start, second.settings.end) == (first.effective_until, ALL_TIME[1])
    header, *rows = lines_of(context, second)
    told = [[str(anna), "changed"], [str(ben), "deleted"], [str(carl), "moved"]]
    assert [row.split(",")[0::4] for row in rows] == told
    after = feed_of(context, feed.id)
    assert (after.cursor, after.sequence, after.running_export) == (second.effective_until, 2, None)
    assert after.columns == second.columns
    assert after.columns == [
        (None, "user_id"),
        (1, "First Name"),
        (3, "E-Mail"),
        (None, "last update"),
        (None, "change"),
    ]


@pytest.mark.parametrize("origin_column", [False, True])
@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("origin", [("form", (123,)), ("form", (123, 124)), ("all", ())])
def test_file_of_all_contacts_has_the_columns_of_the_later_ones(context: Context, origin, removed, origin_column):
    add_contact(context, first_name="Anna")
    add_contact(context, first_name="Ben", origin_id=124)
    kind, ids = origin
    feed = add_feed(context, origin=kind, origin_ids=ids, removed=removed, origin_column=origin_column)
    first = run_feed(context, feed)
    execute(context, "UPDATE contact SET first_name = first_name || '!'")
    second = run_feed(context, feed)
    assert lines_of(context, first)[0] == lines_of(context, second)[0]
    assert first.rows == second.rows == (1 if ids == (123,) else 2)
    if removed:
        assert all(line.endswith(",changed") for line in lines_of(context, first)[1:])


def test_feed_with_a_start_has_no_file_of_all_contacts(context: Context):
    add_contact(context, first_name="before")
    start = execute(context, "SELECT clock_timestamp() AS now")[0]["now"]
    later = add_contact(context, first_name="later")
    first = run_feed(context, add_feed(context, cursor=start))
    assert (first.settings.type, first.settings.start) == ("changes", start)
    assert [line.split(",")[0] for line in lines_of(context, first)[1:]] == [str(later)]


def test_window_ends_when_the_contacts_are_read(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    late = add_contact(context, first_name="while it waits")
    export = attempt(context, export_id)
    assert [line.split(",")[0] for line in lines_of(context, export)[1:]] == [str(late)]
    assert run_feed(context, feed).rows == 0


def test_run_that_fails_leaves_cursor_and_number_to_the_next_one(context: Context):
    feed = add_feed(context)
    first = run_feed(context, feed)
    changed = add_contact(context)
    execute(context, "ALTER TABLE contact RENAME TO contact_away")
    short = dataclasses.replace(context, settings=dataclasses.replace(context.settings, attempt_limit=1))
    failed = run_export.run(short, feed_run.start(context, feed.id))
    assert failed is not None
    assert failed.status == "error"
    stands = feed_of(context, feed.id)
    assert (stands.cursor, stands.sequence, stands.running_export) == (first.effective_until, 1, None)
    execute(context, "ALTER TABLE contact_away RENAME TO contact")
    second = run_feed(context, feed)
    assert (second.feed_sequence, second.settings.start) == (2, first.effective_until)
    assert [line.split(",")[0] for line in lines_of(context, second)[1:]] == [str(changed)]
    assert [run["feed_sequence"] for run in runs_of(context, feed)] == [1, 2, 2]


def test_cancelled_run_leaves_cursor_and_number_to_the_next_one(context: Context):
    feed = add_feed(context)
    first = run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    cancel.cancel(context, export_id, TESTER)
    assert feed_of(context, feed.id).running_export is None
    second = run_feed(context, feed)
    assert (second.feed_sequence, second.settings.start) == (2, first.effective_until)


def test_cursor_moves_only_with_done(context: Context):
    """Both are one transaction: if it is rolled back, neither is written."""
    port = free_port()
    feed = add_feed(context, password=PASSWORD, **to_ftp(port))
    ready = run_feed(context, feed)
    assert (ready.status, feed_of(context, feed.id).sequence, feed_of(context, feed.id).cursor) == ("ready", 0, None)
    with context.database.transaction() as conn:
        done = export_store.mark_done(conn, ready)
        moved = store.find(conn, feed.id)
        conn.rollback()
    assert moved is not None
    assert (done.status, moved.sequence, moved.cursor) == ("done", 1, done.effective_until)
    assert (row_of(context, ready.id)["status"], feed_of(context, feed.id)) == ("ready", feed_of(context, feed.id))
    assert (feed_of(context, feed.id).sequence, feed_of(context, feed.id).cursor) == (0, None)


def test_attempt_that_is_no_longer_current_does_not_move_the_cursor(context: Context):
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    ready = run_feed(context, feed)
    cancel.cancel(context, ready.id, TESTER)
    with context.database.autocommit() as conn, pytest.raises(ExportLost):
        export_store.mark_done(conn, ready)
    assert (feed_of(context, feed.id).sequence, feed_of(context, feed.id).cursor) == (0, None)


def test_feed_has_one_run_at_a_time(context: Context):
    feed = add_feed(context)
    barrier = threading.Barrier(8)

    def start(_number: int) -> int | None:
        barrier.wait()
        try:
            return feed_run.start(context, feed.id)
        except ExportAlreadyRunning as refusal:
            return -(refusal.export_id or 0)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(start, range(8)))
    (started,) = [answer for answer in answers if answer is not None and answer > 0]
    assert sorted(answers)[:-1] == [-started] * 7
    assert [run["id"] for run in runs_of(context, feed)] == [started]


def test_feeds_over_one_origin_and_single_exports_do_not_wait_for_each_other(context: Context):
    add_contact(context, first_name="Anna")
    one, other = add_feed(context, "one"), add_feed(context, "other")
    first, second = feed_run.start(context, one.id), feed_run.start(context, other.id)
    single = request(context, settings_for())
    for export_id in (first, second, single):
        assert attempt(context, export_id).status == "done"
    execute(context, "DELETE FROM contact")
    for feed in (one, other):
        assert lines_of(context, run_feed(context, feed))[1].endswith(",deleted")


def test_status_of_a_run_has_feed_and_number(context: Context):
    export = run_feed(context, add_feed(context))
    assert status.payload(context, export)["feed"] == "nightly"
    assert status.payload(context, export)["sequence"] == 1
    single = attempt(context, request(context, settings_for()))
    assert {"feed", "sequence"} & set(status.payload(context, single)) == set()
    assert json.loads(json.dumps(status.payload(context, export))) == status.payload(context, export)


def test_runs_do_not_count_as_unfinished_exports_of_their_user(context: Context):
    for number in range(12):
        feed_run.start(context, add_feed(context, f"feed-{number}").id)
    assert request(context, settings_for()) > 12


def test_paused_and_deleted_feeds_do_not_start(context: Context):
    feed = add_feed(context)
    manage.pause(context, feed, TESTER)
    with pytest.raises(FeedPaused, match="nightly is paused: tester has paused it"):
        feed_run.start(context, feed.id)
    manage.delete(context, feed, TESTER)
    with pytest.raises(UnknownFeed):
        feed_run.start(context, feed.id)
