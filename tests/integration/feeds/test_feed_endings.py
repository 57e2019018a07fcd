"""However a run ends, and whatever is done to its feed meanwhile: no number twice, no window lost."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.errors import (
    ContactExportError,
    DatabaseUnavailable,
    ExportAlreadyRunning,
    InvalidRequest,
    UsageError,
)
from contactexport.exports import cancel
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from contactexport.exports.models import FtpTarget
from contactexport.exports.retry import retry
from contactexport.exports.sweep import sweep
from contactexport.feeds import manage
from contactexport.feeds import run as feed_run
from contactexport.feeds.models import Feed
from contactexport.secrets.rotate import rotate_secrets
from tests.support.exporting import PASSWORD, TESTER, add_contact, execute, make_due, other_session, row_of
from tests.support.feeds import add_feed, attempt, feed_of, file_of, lines_of, run_feed, runs_of, to_ftp
from tests.support.ftp_hosts import files, free_port, serving
from tests.support.served import wait_until

KEPT = ("ftp_settings", "notification_url")


def failed_run(context: Context, feed: Feed) -> int:
    """A run by FTP whose delivery was given up."""
    export_id = feed_run.start(context, feed.id)
    assert attempt(context, export_id).status == "ready"
    execute(context, "UPDATE export SET ready_at = ready_at - interval '25 hours', due_at = clock_timestamp()")
    assert attempt(context, export_id).status == "error"
    return export_id


def moved_to(context: Context, feed: Feed, port: int, password: str | None = None) -> Feed:
    """The feed with another port of its host."""
    settings = dataclasses.replace(feed.settings, ftp=dataclasses.replace(feed.settings.ftp, port=port))
    wanted = manage.WantedFeed(feed.name, settings, password or PASSWORD, feed.schedule)
    return manage.change(context, feed, wanted, TESTER, same=["notification_url"])


def test_retry_of_the_newest_run_delivers_the_same_file_without_asking_for_the_password(
    context: Context, tmp_path: Path
):
    port = free_port()
    feed = add_feed(context, password=PASSWORD, **to_ftp(port))
    export_id = failed_run(context, feed)
    written = file_of(context, retry_of(context, export_id)).read_bytes()
    with serving(tmp_path / "inbox", port=port) as (_, _told):
        done = attempt(context, export_id)
    assert (done.status, feed_of(context, feed.id).sequence) == ("done", 1)
    assert (tmp_path / "inbox" / "in" / done.file_name).read_bytes() == written
    assert feed_of(context, feed.id).cursor == done.effective_until


def retry_of(context: Context, export_id: int):
    revived = retry(context, export_id, None)
    assert revived.status == "ready"
    return revived


def test_retry_is_refused_once_the_feed_has_gone_on(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    cancelled = feed_run.start(context, feed.id)
    cancel.cancel(context, cancelled, TESTER)
    run_feed(context, feed)
    with pytest.raises(UsageError, match=r"run 2 of the feed nightly, which has gone on .*`flask feeds run nightly`"):
        retry(context, cancelled, None)


def test_retry_is_refused_for_a_run_that_a_newer_one_supersedes(context: Context):
    feed = add_feed(context)
    ids = [feed_run.start(context, feed.id) for _ in range(1)]
    cancel.cancel(context, ids[0], TESTER)
    ids.append(feed_run.start(context, feed.id))
    with pytest.raises(UsageError, match="has gone on"):
        retry(context, ids[0], None)
    cancel.cancel(context, ids[1], TESTER)
    with pytest.raises(UsageError, match="has gone on"):
        retry(context, ids[0], None)
    assert retry(context, ids[1], None).status == "scheduled"
    assert attempt(context, ids[1]).status == "done"
    assert [run["status"] for run in runs_of(context, feed)] == ["error", "done"]


@pytest.mark.parametrize("change", ["reset", "fields", "delete"])
def test_retry_is_refused_once_the_feed_was_changed(context: Context, change: str):
    feed = add_feed(context)
    run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    cancel.cancel(context, export_id, TESTER)
    if change == "reset":
        manage.reset(context, feed, None, TESTER)
    elif change == "fields":
        settings = dataclasses.replace(feed.settings, contact_fields=(3,))
        wanted = manage.WantedFeed(feed.name, settings, None, feed.schedule)
        manage.change(context, feed, wanted, TESTER, same=KEPT)
    else:
        manage.delete(context, feed, TESTER)
    with pytest.raises(UsageError, match="which was deleted" if change == "delete" else "was changed since"):
        retry(context, export_id, None)


def test_retry_is_refused_while_a_newer_run_is_under_way(context: Context):
    feed = add_feed(context)
    export_id = feed_run.start(context, feed.id)
    cancel.cancel(context, export_id, TESTER)
    feed_run.start(context, feed.id)
    with pytest.raises((UsageError, ExportAlreadyRunning)):
        retry(context, export_id, None)


def test_password_that_changed_at_the_host_is_given_to_the_feed_and_its_waiting_run(context: Context, tmp_path: Path):
    with serving(tmp_path / "inbox") as (port, _told):
        feed = add_feed(context, password="old one", **to_ftp(port))
        export_id = feed_run.start(context, feed.id)
        waiting = attempt(context, export_id)
        assert (waiting.status, waiting.permanent_failures) == ("ready", 1)
        assert "old one" not in str(waiting.error)
        moved_to(context, feed, port, PASSWORD)
        assert row_of(context, export_id)["permanent_failures"] == 0
        assert attempt(context, export_id).status == "done"
        assert run_feed(context, feed).status == "done"
    assert len([name for name in files(tmp_path / "inbox") if name.endswith(".csv")]) == 2


def test_password_that_changed_ends_runs_until_it_is_given_and_loses_nothing(context: Context, tmp_path: Path):
    contact = add_contact(context, first_name="Anna")
    with serving(tmp_path / "inbox") as (port, _told):
        feed = add_feed(context, password="old one", **to_ftp(port))
        for _ in range(2):
            export_id = feed_run.start(context, feed.id)
            for _attempt in range(3):
                make_due(context, export_id)
                ended = attempt(context, export_id)
            assert ended.status == "error"
        assert (feed_of(context, feed.id).sequence, feed_of(context, feed.id).cursor) == (0, None)
        moved_to(context, feed, port, PASSWORD)
        done = run_feed(context, feed)
        assert (done.status, done.feed_sequence) == ("done", 1)
        assert f"\n{contact},Anna," in (tmp_path / "inbox" / "in" / done.file_name).read_text()


def test_password_is_not_sent_to_another_host_by_a_run_that_is_under_way(context: Context):
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    export_id = feed_run.start(context, feed.id)
    before = row_of(context, export_id)["ftp_secret"]
    moved_to(context, feed, free_port(), "of another host")
    assert bytes(row_of(context, export_id)["ftp_secret"]) == bytes(before)


def test_secrets_of_feeds_are_encrypted_anew_with_the_others(context: Context):
    feed = add_feed(context, password=PASSWORD, **to_ftp(21))
    execute(context, "UPDATE feed SET notify_secret = ftp_secret")
    rotated, unreadable = rotate_secrets(context)
    assert (rotated >= 2, unreadable) == (True, [])
    after = feed_of(context, feed.id)
    assert after.ftp_secret != feed.ftp_secret
    assert context.secrets.decrypt(after.ftp_secret) == context.secrets.decrypt(after.notify_secret) == PASSWORD


def test_reset_cancels_the_unfinished_run_and_its_file_goes(context: Context):
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    export_id = feed_run.start(context, feed.id)
    waiting = attempt(context, export_id)
    assert file_of(context, waiting).is_file()
    manage.reset(context, feed, None, TESTER)
    row = row_of(context, export_id)
    assert (row["status"], row["error"], row["ftp_secret"]) == ("error", "cancelled", None)
    sweep(context)
    assert files(context.settings.storage_dir) == []
    assert feed_run.start(context, feed.id) > export_id


def test_reset_to_a_time_starts_there(context: Context):
    early = add_contact(context, first_name="early")
    feed = add_feed(context)
    first = run_feed(context, feed)
    start = execute(context, "SELECT max(changed_at) AS at FROM contact_change")[0]["at"]
    manage.reset(context, feed, start, TESTER)
    again = run_feed(context, feed)
    assert (again.settings.start, again.feed_sequence) == (start, first.feed_sequence + 1)
    assert [line.split(",")[0] for line in lines_of(context, again)[1:]] == [str(early)]


def test_reset_refuses_what_the_log_does_not_have(context: Context):
    feed = add_feed(context)
    now = execute(context, "SELECT clock_timestamp() AS now, clock_timestamp() + interval '1 day' AS later")[0]
    with pytest.raises(InvalidRequest, match="a time in the past expected"):
        manage.reset(context, feed, now["later"], TESTER)
    execute(context, "UPDATE contact_log_horizon SET removals_from = clock_timestamp()")
    with pytest.raises(InvalidRequest, match="the log is complete from"):
        manage.reset(context, feed, now["now"], TESTER)


def test_deleted_feed_leaves_its_exports_and_cancels_its_run(context: Context):
    feed = add_feed(context)
    first = run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    manage.delete(context, feed, TESTER)
    assert [(run["id"], run["status"]) for run in runs_of(context, feed)] == [(first.id, "done"), (export_id, "error")]
    assert file_of(context, first).is_file()
    assert run_export.run(context, export_id) is None
    again = add_feed(context)
    assert run_feed(context, again).feed_sequence == 1


def test_change_that_decides_rows_starts_anew_and_another_one_does_not(context: Context):
    feed = add_feed(context)
    first = run_feed(context, feed)
    for change, begins_anew in (
        ({"delimiter": ";"}, False),
        ({"language": "de"}, True),
        ({"contact_fields": (3,)}, True),
    ):
        before = feed_of(context, feed.id)
        settings = dataclasses.replace(before.settings, **change)
        manage.change(context, before, manage.WantedFeed(feed.name, settings, None, feed.schedule), TESTER, same=KEPT)
        assert (feed_of(context, feed.id).cursor is None) == begins_anew
        assert run_feed(context, feed).status == "done"
    assert first.feed_sequence + 3 == feed_of(context, feed.id).sequence


def test_change_while_a_run_is_under_way_is_not_undone_by_its_end(context: Context):
    feed = add_feed(context)
    run_feed(context, feed)
    export_id = feed_run.start(context, feed.id)
    settings = dataclasses.replace(feed.settings, contact_fields=(3,))
    manage.change(context, feed, manage.WantedFeed(feed.name, settings, None, feed.schedule), TESTER, same=KEPT)
    assert row_of(context, export_id)["status"] == "error"
    assert feed_of(context, feed.id).cursor is None


def test_change_of_a_feed_that_somebody_else_has_changed_is_refused(context: Context):
    feed = add_feed(context)
    wanted = manage.WantedFeed(feed.name, feed.settings, None, "0 3 * * *")
    manage.change(context, feed, wanted, TESTER, same=KEPT)
    with pytest.raises(ContactExportError, match="Somebody else"):
        manage.change(context, feed, wanted, TESTER, same=KEPT)


@pytest.mark.parametrize("round_", range(3))
def test_reset_and_the_end_of_a_run_at_the_same_instant_leave_one_of_both_orders(context: Context, round_: int):
    """Either the run ends first and the cursor is reset after it, or the run is cancelled and moves nothing."""
    feed = add_feed(context)
    first = run_feed(context, feed)
    add_contact(context)
    export_id = feed_run.start(context, feed.id)
    barrier = threading.Barrier(2)

    def end() -> None:
        barrier.wait()
        with suppress(DatabaseUnavailable):  # the reset ends the session of a run that it cancels
            run_export.run(context, export_id)

    def reset() -> None:
        barrier.wait()
        manage.reset(context, feed, None, TESTER)

    with ThreadPoolExecutor(2) as threads:
        ending, resetting = threads.submit(end), threads.submit(reset)
        resetting.result()
        ending.result()
    after, status = feed_of(context, feed.id), row_of(context, export_id)["status"]
    assert (status, after.sequence) in {("done", 2), ("error", first.feed_sequence)}
    assert after.cursor is None


def test_retried_run_goes_where_it_went(context: Context):
    """Also with the feed's present host: a run for another one is not sent there."""
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    export_id = failed_run(context, feed)
    moved_to(context, feed, free_port())
    with pytest.raises(UsageError, match="was changed since"):
        retry(context, export_id, None)
    assert FtpTarget(**row_of(context, export_id)["settings"]["ftp"]) == feed.settings.ftp


def test_end_of_a_run_waits_for_who_changes_its_feed_before_it_locks_the_export(context: Context):
    """Otherwise a reset, which locks the feed first, and the end of a run could wait for each other."""
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    ready = attempt(context, feed_run.start(context, feed.id))

    def end() -> str:
        with context.database.autocommit() as conn:
            return str(export_store.mark_done(conn, ready).status)

    with ThreadPoolExecutor(1) as thread:
        with other_session(context, autocommit=False) as changing, changing.cursor() as cursor:
            cursor.execute("SELECT id FROM feed WHERE id = %s FOR UPDATE", (feed.id,))
            ending = thread.submit(end)
            wait_until(lambda: waits_for_a_lock(context), "the end waits for the feed")
            cursor.execute("SELECT id FROM export WHERE id = %s FOR UPDATE NOWAIT", (ready.id,))
            assert cursor.fetchall() == [(ready.id,)]
            changing.commit()
        assert ending.result(timeout=30) == "done"
    assert feed_of(context, feed.id).sequence == 1


def waits_for_a_lock(context: Context) -> bool:
    return bool(
        execute(context, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'UPDATE feed'")
    )
