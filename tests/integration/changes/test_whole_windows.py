"""A past window is exported whole or not at all: it waits for writers that may still add to it."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from contactexport.changes import window
from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning, WindowOpen
from contactexport.exports import cancel, retry, status, sweep
from contactexport.exports import run as run_export
from contactexport.exports.models import ExportSettings
from tests.support.exporting import (
    TESTER,
    add_contact,
    around_now,
    context_with,
    database_time,
    execute,
    exported_ids,
    ids_in,
    lose_messages,
    make_due,
    messages,
    other_session,
    request,
    row_of,
    run,
    settings_for,
    with_wait,
)
from tests.support.invariants import advisory_locks

SLOWER_CLOCK = """
    CREATE FUNCTION contact_change_window_end(wanted timestamptz) RETURNS timestamptz LANGUAGE sql
    RETURN least(wanted, '{behind}'::timestamptz)
"""
INSERT = "INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id"


@pytest.fixture
def start(context: Context) -> datetime:
    """Where the windows begin."""
    return database_time(context)


@pytest.fixture
def writer(context: Context, start: datetime):
    """A session of another program. Its transaction began after `start`."""
    with other_session(context, autocommit=False) as session, session.cursor() as cursor:
        cursor.execute("SET application_name = 'batch'")
        session.commit()
        cursor.execute("SELECT now()")
        yield session


def write(writer) -> int:
    with writer.cursor() as cursor:
        cursor.execute(INSERT)
        return cursor.fetchone()[0]


def past(context: Context, start: datetime, **changes) -> ExportSettings:
    """The window from `start` until now."""
    return settings_for(start=start, end=database_time(context), **changes)


def put_off(context: Context, settings: ExportSettings):
    """An export after its first attempt, which did not wait for writers."""
    impatient = with_wait(context, 0)
    return run(impatient, request(context, settings))


def run_again(context: Context, export_id: int):
    make_due(context, export_id)
    return run(with_wait(context, 0), export_id)


def test_changes_of_a_slow_writer_are_in_exactly_one_of_two_windows(context, start, writer):
    early = add_contact(context)
    slow = write(writer)
    meanwhile = add_contact(context)
    first = past(context, start)
    waiting = put_off(context, first)
    assert (waiting.status, waiting.rows, waiting.effective_until) == ("in progress", None, None)
    late = add_contact(context)
    second = settings_for(start=first.end, end=database_time(context))
    writer.commit()
    done = run_again(context, waiting.id)
    assert (done.status, done.effective_until, done.error) == ("done", first.end, None)
    assert ids_in(context, done) == [early, slow, meanwhile]
    assert exported_ids(context, second) == [late]


def test_rolled_back_writer_adds_nothing_to_the_window(context, start, writer):
    write(writer)
    other = add_contact(context)
    waiting = put_off(context, past(context, start))
    writer.rollback()
    assert ids_in(context, run_again(context, waiting.id)) == [other]


def test_status_names_the_writer_and_the_next_attempt(context, start, writer):
    write(writer)
    waiting = put_off(context, past(context, start))
    payload = status.status(context, waiting.id, TESTER)
    began = execute(context, "SELECT xact_start FROM pg_stat_activity WHERE pid = %s", (writer.get_backend_pid(),))
    shown = began[0]["xact_start"].isoformat(timespec="seconds")
    user = writer.get_dsn_parameters()["user"]
    assert payload["error"] == (
        "Open transactions may still add changes to the window:"
        f" process {writer.get_backend_pid()} of '{user}' in 'batch' since {shown}, idle in transaction"
    )
    assert datetime.fromisoformat(payload["next_attempt"]) == waiting.due_at > database_time(context)


def test_status_names_three_writers_and_counts_the_others(context, start):
    with ExitStack() as sessions:
        for _ in range(5):
            write(sessions.enter_context(other_session(context, autocommit=False)))
        reason = put_off(context, past(context, start)).error
    assert (reason.count("process"), reason.endswith(", and 2 more")) == (3, True)


def test_postponed_export_holds_no_lock_and_counts_no_attempt(context, start, writer):
    write(writer)
    settings = past(context, start)
    waiting = put_off(context, settings)
    for _ in range(context.settings.attempt_limit + 1):
        waiting = run_again(context, waiting.id)
    assert (waiting.status, waiting.run_attempts) == ("in progress", 0)
    assert run_export.run(context, waiting.id) is None  # not due
    assert advisory_locks(context) == []
    assert list(context.settings.storage_dir.glob("[!.]*")) == []
    with pytest.raises(ExportAlreadyRunning):
        request(context, settings)
    execute(context, "LOCK TABLE contact_field IN ACCESS EXCLUSIVE MODE NOWAIT")


def test_sweep_publishes_postponed_export_once_due(context, start, writer):
    write(writer)
    waiting = put_off(context, past(context, start))
    lose_messages(context)
    assert sweep.sweep(context) == 0
    make_due(context, waiting.id)
    assert sweep.sweep(context) == 1
    assert len(messages(context)) == 1


def test_later_attempt_waits_only_briefly_for_writers(context, start, writer, monkeypatch):
    write(writer)
    waited = []
    settled_until = window.settled_until

    def noted(conn, start, end, seconds, *more, **options):
        waited.append(seconds)
        return settled_until(conn, start, end, 0, *more, **options)

    monkeypatch.setattr(window, "settled_until", noted)
    patient = with_wait(context, 30)
    export_id = request(context, past(context, start))
    run(patient, export_id)
    make_due(context, export_id)
    run(patient, export_id)
    assert waited == [30, run_export.SECOND_LOOK_SECONDS]


def test_export_fails_with_the_reason_after_the_writers_limit(context, start, writer):
    write(writer)
    waiting = put_off(context, past(context, start))
    execute(context, "UPDATE export SET writers_since = writers_since - interval '59 minutes'")
    since = row_of(context, waiting.id)["writers_since"]
    waiting = run_again(context, waiting.id)
    assert (waiting.status, waiting.writers_since) == ("in progress", since)
    execute(context, "UPDATE export SET writers_since = writers_since - interval '1 minute'")
    ended = run_again(context, waiting.id)
    assert (ended.status, ended.error) == ("error", f"{waiting.error}; given up after 3600 seconds")
    assert f"process {writer.get_backend_pid()}" in ended.error


def test_writers_limit_of_zero_fails_the_first_attempt(context, start, writer):
    write(writer)
    strict = context_with(context, writers_wait=0, writers_limit=0)
    ended = run(strict, request(context, past(context, start)))
    assert (ended.status, ended.rows) == ("error", None)
    strict.database.close()


def test_retry_starts_the_writers_limit_anew(context, start, writer):
    slow = write(writer)
    waiting = put_off(context, past(context, start))
    execute(context, "UPDATE export SET writers_since = writers_since - interval '2 hours'")
    assert run_again(context, waiting.id).status == "error"
    retry.retry(context, waiting.id, None)
    assert run_again(context, waiting.id).status == "in progress"
    writer.commit()
    assert ids_in(context, run_again(context, waiting.id)) == [slow]


def test_cancel_ends_a_postponed_export(context, start, writer):
    write(writer)
    settings = past(context, start)
    waiting = put_off(context, settings)
    cancel.cancel(context, waiting.id, TESTER)
    assert run_export.run(context, waiting.id) is None
    assert row_of(context, waiting.id)["error"] == "cancelled"
    assert request(context, settings) > waiting.id


def test_past_window_is_cut_with_may_end_early(context, start, writer):
    with writer.cursor() as cursor:
        cursor.execute("SELECT now()")
        began = cursor.fetchone()[0]
    write(writer)
    add_contact(context)
    cut = put_off(context, past(context, start, may_end_early=True))
    assert (cut.status, cut.rows, cut.effective_until) == ("done", 0, began)


def test_window_that_ended_after_acceptance_may_be_cut(context, start, writer):
    write(writer)
    export_id = request(context, settings_for(start=start, end=database_time(context) + timedelta(seconds=0.2)))
    end = row_of(context, export_id)["settings"]["end"]
    execute(context, "SELECT pg_sleep_until(%s)", (end,))
    export = run(with_wait(context, 0), export_id)
    assert export.status == "done"
    assert export.effective_until < export.settings.end


def test_past_window_does_not_wait_for_a_later_writer(context, start):
    contact = add_contact(context)
    settings = past(context, start)
    with other_session(context, autocommit=False) as late:
        write(late)
        assert ids_in(context, put_off(context, settings)) == [contact]


def test_past_window_is_postponed_while_the_database_clock_is_behind_it(context, start):
    """This happens when a standby with a slower clock takes over, or the contacts are on another server."""
    contact = add_contact(context)
    settings = past(context, start)
    behind = settings.end - timedelta(seconds=7)
    execute(context, "ALTER FUNCTION contact_change_window_end RENAME TO right_window_end")
    execute(context, SLOWER_CLOCK.format(behind=behind))
    waiting = put_off(context, settings)
    execute(context, "DROP FUNCTION contact_change_window_end")
    execute(context, "ALTER FUNCTION right_window_end RENAME TO contact_change_window_end")
    shown = behind.isoformat(timespec="seconds")
    assert waiting.error == f"The contacts database's clock is at {shown}, before the end of the window"
    assert (waiting.status, waiting.run_attempts) == ("in progress", 0)
    assert ids_in(context, run_again(context, waiting.id)) == [contact]


def test_past_window_waits_for_a_writer_with_hidden_start(context, database_name, start):
    """Postgres shows when a transaction began only to members of its role and to monitors."""
    watcher = f"{database_name}_watcher"
    with other_session(context, autocommit=False) as hidden, other_session(context) as admin:
        write(hidden)
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {watcher} LOGIN")
            try:
                with context.contacts.session() as watching, watching.cursor() as own:
                    own.execute(f"SET ROLE {watcher}")
                    with pytest.raises(WindowOpen, match="since an unknown time"):
                        window.settled_until(watching, start, database_time(context), 0, whole=True)
            finally:
                cursor.execute(f"DROP ROLE {watcher}")


def test_writer_that_has_just_ended_is_named_by_its_transaction(context, start, monkeypatch):
    monkeypatch.setattr(window, "writers_now", lambda _conn: {"3/14": datetime(2012, 1, 1, tzinfo=UTC)})
    reason = put_off(context, past(context, start)).error
    assert reason.endswith("transaction 3/14 since 2012-01-01T00:00:00+00:00")


def test_api_accepts_may_end_early_only_as_0_or_1(api, context):
    body = {"distribution_method": "local", "origin": "all", "contact_fields": [1], "time_range": ["2012", "2013"]}
    body["time_range"] = [moment.isoformat() for moment in around_now().values()]
    url = "/api/v2/contact/getchanges"
    ids = [api.post(url, json=body | sent).json["data"]["id"] for sent in ({}, {"may_end_early": "1"})]
    assert ["may_end_early" in row_of(context, export_id)["settings"] for export_id in ids] == [False, True]
    assert api.post(url, json=body | {"may_end_early": 0}).json["replyCode"] == 4001
    assert api.post(url, json=body | {"may_end_early": 2}).json["replyText"] == "Invalid value for may_end_early: 2"
