"""A window of the past is exported whole or not at all: it waits for those who may still add to it."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from exporting import (
    TESTER,
    add_contact,
    around_now,
    backend_with,
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
from invariants import advisory_locks

from contactexport.backend import Backend
from contactexport.db import change_repository
from contactexport.errors import ExportAlreadyRunning, WindowOpen
from contactexport.models import ExportSettings
from contactexport.services import cancel_export, find_changes, retry_export, run_export, sweep_exports, track_export

INSERT = "INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id"


@pytest.fixture
def start(backend: Backend) -> datetime:
    """Where the windows begin."""
    return database_time(backend)


@pytest.fixture
def writer(backend: Backend, start: datetime):
    """A session of another program, whose transaction has begun after `start`."""
    with other_session(backend, autocommit=False) as session, session.cursor() as cursor:
        cursor.execute("SET application_name = 'batch'")
        session.commit()
        cursor.execute("SELECT now()")
        yield session


def write(writer) -> int:
    with writer.cursor() as cursor:
        cursor.execute(INSERT)
        return cursor.fetchone()[0]


def past(backend: Backend, start: datetime, **changes) -> ExportSettings:
    """The window from there until now."""
    return settings_for(start=start, end=database_time(backend), **changes)


def put_off(backend: Backend, settings: ExportSettings):
    """An export after its first attempt, which has not waited for long."""
    impatient = with_wait(backend, 0)
    return run(impatient, request(backend, settings))


def run_again(backend: Backend, export_id: int):
    make_due(backend, export_id)
    return run(with_wait(backend, 0), export_id)


def test_the_changes_of_a_slow_writer_and_of_others_are_in_exactly_one_of_two_windows(backend, start, writer):
    early = add_contact(backend)
    slow = write(writer)
    meanwhile = add_contact(backend)
    first = past(backend, start)
    waiting = put_off(backend, first)
    assert (waiting.status, waiting.rows, waiting.effective_until) == ("in progress", None, None)
    late = add_contact(backend)
    second = settings_for(start=first.end, end=database_time(backend))
    writer.commit()
    done = run_again(backend, waiting.id)
    assert (done.status, done.effective_until, done.error) == ("done", first.end, None)
    assert ids_in(backend, done) == [early, slow, meanwhile]
    assert exported_ids(backend, second) == [late]


def test_a_transaction_that_is_rolled_back_adds_nothing(backend, start, writer):
    write(writer)
    other = add_contact(backend)
    waiting = put_off(backend, past(backend, start))
    writer.rollback()
    assert ids_in(backend, run_again(backend, waiting.id)) == [other]


def test_the_status_tells_who_is_waited_for_and_until_when(backend, start, writer):
    write(writer)
    waiting = put_off(backend, past(backend, start))
    payload = track_export.status(backend, waiting.id, TESTER)
    began = execute(backend, "SELECT xact_start FROM pg_stat_activity WHERE pid = %s", (writer.get_backend_pid(),))
    shown = began[0]["xact_start"].isoformat(timespec="seconds")
    user = writer.get_dsn_parameters()["user"]
    assert payload["error"] == (
        "Still changing contacts, maybe of the window:"
        f" process {writer.get_backend_pid()} of '{user}' in 'batch' since {shown}, idle in transaction"
    )
    assert datetime.fromisoformat(payload["next_attempt"]) == waiting.due_at > database_time(backend)


def test_of_many_writers_some_are_named_and_the_others_counted(backend, start):
    with ExitStack() as sessions:
        for _ in range(5):
            write(sessions.enter_context(other_session(backend, autocommit=False)))
        reason = put_off(backend, past(backend, start)).error
    assert (reason.count("process"), reason.endswith(", and 2 more")) == (3, True)


def test_while_it_is_put_off_it_holds_no_lock_and_no_file_and_counts_no_attempt(backend, start, writer):
    write(writer)
    settings = past(backend, start)
    waiting = put_off(backend, settings)
    for _ in range(backend.settings.attempt_limit + 1):
        waiting = run_again(backend, waiting.id)
    assert (waiting.status, waiting.run_attempts) == ("in progress", 0)
    assert run_export.run(backend, waiting.id) is None  # not due
    assert advisory_locks(backend) == []
    assert list(backend.settings.storage_dir.glob("[!.]*")) == []
    with pytest.raises(ExportAlreadyRunning):
        request(backend, settings)
    execute(backend, "LOCK TABLE contact_field IN ACCESS EXCLUSIVE MODE NOWAIT")


def test_a_sweep_wakes_a_worker_once_it_is_due(backend, start, writer):
    write(writer)
    waiting = put_off(backend, past(backend, start))
    lose_messages(backend)
    assert sweep_exports.sweep(backend) == 0
    make_due(backend, waiting.id)
    assert sweep_exports.sweep(backend) == 1
    assert len(messages(backend)) == 1


def test_an_export_that_was_put_off_keeps_no_worker_waiting_again(backend, start, writer, monkeypatch):
    write(writer)
    waited = []
    settle = find_changes.settle

    def noted(conn, start, end, seconds, *more, **options):
        waited.append(seconds)
        return settle(conn, start, end, 0, *more, **options)

    monkeypatch.setattr(find_changes, "settle", noted)
    patient = with_wait(backend, 30)
    export_id = request(backend, past(backend, start))
    run(patient, export_id)
    make_due(backend, export_id)
    run(patient, export_id)
    assert waited == [30, run_export.SECOND_LOOK_SECONDS]


def test_after_the_limit_it_ends_in_error_with_the_reason(backend, start, writer):
    write(writer)
    waiting = put_off(backend, past(backend, start))
    execute(backend, "UPDATE export SET writers_since = writers_since - interval '59 minutes'")
    since = row_of(backend, waiting.id)["writers_since"]
    waiting = run_again(backend, waiting.id)
    assert (waiting.status, waiting.writers_since) == ("in progress", since)
    execute(backend, "UPDATE export SET writers_since = writers_since - interval '1 minute'")
    ended = run_again(backend, waiting.id)
    assert (ended.status, ended.error) == ("error", f"{waiting.error}; given up after 3600 seconds")
    assert f"process {writer.get_backend_pid()}" in ended.error


def test_without_patience_the_first_attempt_ends_in_error(backend, start, writer):
    write(writer)
    strict = backend_with(backend, writers_wait=0, writers_limit=0)
    ended = run(strict, request(backend, past(backend, start)))
    assert (ended.status, ended.rows) == ("error", None)
    strict.database.close()


def test_a_retry_has_the_whole_limit_again(backend, start, writer):
    slow = write(writer)
    waiting = put_off(backend, past(backend, start))
    execute(backend, "UPDATE export SET writers_since = writers_since - interval '2 hours'")
    assert run_again(backend, waiting.id).status == "error"
    retry_export.retry(backend, waiting.id, None)
    assert run_again(backend, waiting.id).status == "in progress"
    writer.commit()
    assert ids_in(backend, run_again(backend, waiting.id)) == [slow]


def test_a_cancel_ends_the_waiting(backend, start, writer):
    write(writer)
    settings = past(backend, start)
    waiting = put_off(backend, settings)
    cancel_export.cancel(backend, waiting.id, TESTER)
    assert run_export.run(backend, waiting.id) is None
    assert row_of(backend, waiting.id)["error"] == "cancelled"
    assert request(backend, settings) > waiting.id


def test_whoever_asks_for_it_gets_a_window_of_the_past_that_is_cut(backend, start, writer):
    with writer.cursor() as cursor:
        cursor.execute("SELECT now()")
        began = cursor.fetchone()[0]
    write(writer)
    add_contact(backend)
    cut = put_off(backend, past(backend, start, may_end_early=True))
    assert (cut.status, cut.rows, cut.effective_until) == ("done", 0, began)


def test_a_window_that_reached_into_the_future_when_it_was_accepted_is_cut_although_it_has_passed(
    backend, start, writer
):
    write(writer)
    export_id = request(backend, settings_for(start=start, end=database_time(backend) + timedelta(seconds=0.2)))
    end = row_of(backend, export_id)["settings"]["end"]
    execute(backend, "SELECT pg_sleep_until(%s)", (end,))
    export = run(with_wait(backend, 0), export_id)
    assert export.status == "done"
    assert export.effective_until < export.settings.end


def test_one_that_began_after_the_window_is_not_waited_for(backend, start):
    contact = add_contact(backend)
    settings = past(backend, start)
    with other_session(backend, autocommit=False) as late:
        write(late)
        assert ids_in(backend, put_off(backend, settings)) == [contact]


def test_a_clock_that_is_behind_the_window_cuts_it_no_more_than_a_writer_does(backend, start, monkeypatch):
    """A standby with a slower clock has taken over, or the contacts are on another server."""
    contact = add_contact(backend)
    settings = past(backend, start)
    behind = settings.end - timedelta(seconds=7)
    with monkeypatch.context() as slower:
        slower.setattr(change_repository, "window_end", lambda _conn, wanted: min(wanted, behind))
        waiting = put_off(backend, settings)
    shown = behind.isoformat(timespec="seconds")
    assert waiting.error == f"The contacts database's clock is at {shown}, before the end of the window"
    assert (waiting.status, waiting.run_attempts) == ("in progress", 0)
    assert ids_in(backend, run_again(backend, waiting.id)) == [contact]


def test_a_writer_whose_start_is_hidden_is_waited_for(backend, database_name, start):
    """Postgres shows the start of another role's transaction to its members and monitors only."""
    watcher = f"{database_name}_watcher"
    with other_session(backend, autocommit=False) as hidden, other_session(backend) as admin:
        write(hidden)
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {watcher} LOGIN")
            try:
                with backend.contacts.session() as watching, watching.cursor() as own:
                    own.execute(f"SET ROLE {watcher}")
                    with pytest.raises(WindowOpen, match="since an unknown time"):
                        find_changes.settle(watching, start, database_time(backend), 0, whole=True)
            finally:
                cursor.execute(f"DROP ROLE {watcher}")


def test_a_writer_that_has_just_ended_is_named_by_its_number(backend, start, monkeypatch):
    monkeypatch.setattr(change_repository, "writers_now", lambda _conn: {"3/14": datetime(2012, 1, 1, tzinfo=UTC)})
    reason = put_off(backend, past(backend, start)).error
    assert reason.endswith("transaction 3/14 since 2012-01-01T00:00:00+00:00")


def test_the_api_takes_the_option_and_refuses_other_values(api, backend):
    body = {"distribution_method": "local", "origin": "all", "contact_fields": [1], "time_range": ["2012", "2013"]}
    body["time_range"] = [moment.isoformat() for moment in around_now().values()]
    url = "/api/v2/contact/getchanges"
    ids = [api.post(url, json=body | sent).json["data"]["id"] for sent in ({}, {"may_end_early": "1"})]
    assert ["may_end_early" in row_of(backend, export_id)["settings"] for export_id in ids] == [False, True]
    assert api.post(url, json=body | {"may_end_early": 0}).json["replyCode"] == 4001
    assert api.post(url, json=body | {"may_end_early": 2}).json["replyText"] == "Invalid value for may_end_early: 2"
