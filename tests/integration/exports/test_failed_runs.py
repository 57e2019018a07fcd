"""What happens to an export when the disk, a database, a worker or the catalogue fails during its run."""

import dataclasses
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable, ExportAlreadyRunning
from contactexport.exports import cancel, deliver, lock, sweep
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from tests.support.exporting import (
    START,
    TESTER,
    contact_changed,
    context_with,
    execute,
    exported_ids,
    lose_messages,
    make_due,
    other_session,
    request,
    row_of,
    run,
    seconds_until_due,
    settings_for,
)

# Runs an export in a separate process, with a limit on the size of its files.
WORKER = """
import resource, sys
from contactexport import make_context
from contactexport.exports import run as run_export
from contactexport.settings import load_settings
url, data_dir, export_id, most_bytes = sys.argv[1:]
if int(most_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
settings = load_settings({"DATABASE_URL": url, "DATA_DIR": data_dir}, {})
run_export.run(make_context(settings), int(export_id))
"""


def worker(context: Context, export_id: int, most_bytes: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            WORKER,
            context.database.url,
            str(context.settings.data_dir),
            str(export_id),
            str(most_bytes),
        ],
    )


def many_contacts(context: Context, count: int) -> None:
    execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id, first_name)"
        " SELECT 'form', 123, repeat('x', 200) FROM generate_series(1, %s)",
        (count,),
    )
    execute(context, "UPDATE contact_change SET changed_at = %s", (START,))


def stored(context: Context) -> list[str]:
    return sorted(path.name for path in context.settings.storage_dir.glob("[!.]*"))


@pytest.mark.parametrize("spreadsheet", [False, True])
@pytest.mark.parametrize("rows", [2000, 10000])  # less than the write buffer, and more
def test_full_disk_postpones_export_and_leaves_no_file(context: Context, rows: int, spreadsheet: bool):
    many_contacts(context, rows)
    export_id = request(context, settings_for(spreadsheet=spreadsheet))
    assert worker(context, export_id, most_bytes=4096).wait() == 0
    assert stored(context) == []
    row = row_of(context, export_id)
    assert (row["status"], row["error"]) == ("in progress", "The file cannot be written: File too large")
    assert 0 < seconds_until_due(context, export_id) <= 10
    make_due(context, export_id)
    done = run(context, export_id)
    assert (done.status, done.rows, done.attempt, done.error) == ("done", rows, 2, None)
    assert stored(context) == [done.file_name]


def test_export_whose_file_cannot_be_written_is_retried_with_backoff_until_the_limit(context: Context):
    export_id = request(context, settings_for())
    for attempt in range(1, 6):
        name = row_of(context, export_id)["file_name"]
        (context.settings.storage_dir / f"{name}.{attempt}.part").mkdir(parents=True)
    for seconds in (10, 60, 300, 900):
        assert run(context, export_id).status == "in progress"
        assert seconds - 5 < seconds_until_due(context, export_id) <= seconds
        make_due(context, export_id)
    failed = run(context, export_id)
    assert (failed.status, failed.error) == ("error", "The file cannot be written: Is a directory")
    assert request(context, settings_for()) > export_id


def test_worker_killed_while_writing_costs_an_attempt_and_leaves_no_file(context: Context):
    many_contacts(context, 200)
    export_id = request(context, settings_for())
    with other_session(context, autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE contact_field")  # stop the worker between claim and file
        process = worker(context, export_id)
        wait_for(context, export_id, "in progress")
        process.send_signal(signal.SIGKILL)
        process.wait()
    part = context.settings.storage_dir / f"{row_of(context, export_id)['file_name']}.1.part"
    part.parent.mkdir(exist_ok=True)
    part.write_text("what the dead worker had written")
    wait_for_lock(context, row_of(context, export_id)["setting_key"])
    lose_messages(context)
    assert sweep.sweep(context) == 1
    done = run(context, export_id)
    assert (done.status, done.attempt, done.rows) == ("done", 2, 200)
    sweep.sweep(context)
    assert stored(context) == [done.file_name]


def wait_for(context: Context, export_id: int, status: str) -> None:
    for _ in range(1000):
        if row_of(context, export_id)["status"] == status:
            return
        time.sleep(0.01)
    pytest.fail(f"the export does not become {status}")


def wait_for_lock(context: Context, key: int) -> None:
    """Waits until Postgres notices the end of the killed client."""
    execute(context, "SELECT pg_advisory_xact_lock(%s)", (key,))


def test_export_that_kills_its_workers_ends_in_error(context: Context):
    export_id = request(context, settings_for())
    for _ in range(context.settings.attempt_limit):
        with context.database.transaction() as conn:
            export_store.claim(conn, export_id, settings_for().key())
    failed = run(context, export_id)
    assert (failed.status, failed.error) == ("error", "Given up after 5 attempts")


def test_missing_field_fails_export_at_once(context: Context):
    export_id = request(context, settings_for())
    execute(context, "UPDATE contact_field SET exportable = false WHERE id = 3; DELETE FROM contact_field WHERE id = 1")
    failed = run(context, export_id)
    assert (failed.status, failed.error) == ("error", "Invalid contact field id: 1, 3")
    assert failed.finished_at is not None


def test_refused_query_is_retried_and_its_reason_is_logged(context: Context, caplog):
    export_id = request(context, settings_for())
    execute(context, "UPDATE contact_field SET column_name = 'no such column' WHERE id = 1")
    postponed = run(context, export_id)
    assert (postponed.status, postponed.attempt) == ("in progress", 1)
    assert postponed.error == "The contacts database refuses the query"
    assert "column c.no such column does not exist" in caplog.text
    execute(context, "UPDATE contact_field SET column_name = 'first_name' WHERE id = 1")
    make_due(context, export_id)
    assert run(context, export_id).status == "done"


def test_outage_of_contacts_database_costs_no_attempt(context: Context):
    export_id = request(context, settings_for())
    without = context_with(context, contacts_database_url="postgresql://root@127.0.0.1:1/none")
    for _ in range(3):
        postponed = run(without, export_id)
        assert (postponed.status, postponed.run_attempts) == ("in progress", 0)
        assert postponed.error == "The contacts database does not answer"
        assert 20 < seconds_until_due(context, export_id) <= 30
        make_due(context, export_id)
    without.database.close()
    assert run(context, export_id).status == "done"


def lost(context: Context, export_id: int) -> None:
    assert cancel.cancel(context, export_id, TESTER).error == "cancelled"


def broken_connection(context: Context, _export_id: int) -> None:
    execute(
        context,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )


def meanwhile(monkeypatch: pytest.MonkeyPatch, event, then: Exception | None = None) -> None:
    """Lets something happen while the rows are being written."""
    original = run_export.write_rows

    def write(*arguments):
        event()
        if then is not None:
            raise then
        return original(*arguments)

    monkeypatch.setattr(run_export, "write_rows", write)


@pytest.mark.parametrize(
    "then", [None, OSError(28, "No space left on device"), DatabaseUnavailable("contacts are away")]
)
def test_worker_gives_up_cancelled_export(context: Context, monkeypatch: pytest.MonkeyPatch, then, caplog):
    export_id = request(context, settings_for())
    meanwhile(monkeypatch, lambda: lost(context, export_id), then)
    with caplog.at_level(logging.WARNING):
        assert run_export.run(context, export_id) is None
    assert "attempt given up" in caplog.text
    assert stored(context) == []
    row = row_of(context, export_id)
    assert (row["status"], row["error"], row["attempt"]) == ("error", "cancelled", 2)


def test_cancel_just_after_the_file_is_named_removes_it(context: Context, monkeypatch: pytest.MonkeyPatch):
    export_id = request(context, settings_for())
    original = lock.require_ours

    def cancelled_after_the_last_look(conn, export):
        original(conn, export)
        lost(context, export_id)

    monkeypatch.setattr(lock, "require_ours", cancelled_after_the_last_look)
    assert run_export.run(context, export_id) is None
    sweep.sweep(context)
    assert stored(context) == []


def test_worker_that_lost_its_connection_writes_no_file(context: Context, monkeypatch: pytest.MonkeyPatch):
    contact = contact_changed(context)
    export_id = request(context, settings_for())
    meanwhile(monkeypatch, lambda: broken_connection(context, export_id))
    postponed = run(context, export_id)
    assert (postponed.status, postponed.run_attempts) == ("in progress", 0)
    assert stored(context) == []
    monkeypatch.undo()
    make_due(context, export_id)
    lose_messages(context)
    assert sweep.sweep(context) == 1
    assert run(context, export_id).rows == 1
    assert exported_ids(context, settings_for()) == [contact]


def test_worker_that_lost_its_lock_writes_no_file(context: Context, monkeypatch: pytest.MonkeyPatch):
    export_id = request(context, settings_for())
    original = lock.require_ours

    def unlocked(conn, export):
        with conn.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        original(conn, export)

    monkeypatch.setattr(lock, "require_ours", unlocked)
    assert run_export.run(context, export_id) is None
    assert stored(context) == []
    assert row_of(context, export_id)["status"] == "in progress"


def test_file_lost_before_delivery_ends_local_export_in_error(context: Context):
    contact_changed(context)
    export_id = request(context, settings_for())
    for damage in (Path.unlink, lambda path: path.write_bytes(b"")):
        damage(deliver.stored_file(context, run(context, export_id)))
        execute(
            context,
            "UPDATE export SET status = 'ready', due_at = clock_timestamp(), finished_at = NULL WHERE id = %s",
            (export_id,),
        )
        failed = run(context, export_id)
        assert failed.status == "error"
        assert "storage folder" in failed.error
        execute(
            context,
            "UPDATE export SET status = 'in progress', due_at = clock_timestamp(), finished_at = NULL WHERE id = %s",
            (export_id,),
        )


def test_progress_is_reported_in_rows(context: Context):
    many_contacts(context, 8000)
    told: list[tuple[int, int, bool]] = []
    export_id = request(context, settings_for(header=True))
    run_export.run(context, export_id, lambda *progress: told.append(progress))
    assert told[-1] == (8000, 8000, True)
    assert len(told) > 2
    assert told[-2] == (8000, 8000, False)
    assert [written for written, *_ in told] == sorted(written for written, *_ in told)


def test_setting_is_free_again_after_an_error(context: Context):
    export_id = request(context, settings_for())
    with pytest.raises(ExportAlreadyRunning):
        request(context, settings_for())
    cancel.cancel(context, export_id, TESTER)
    assert request(context, settings_for()) > export_id


def test_files_are_readable_only_by_their_owner(context: Context):
    done = run(context, request(context, settings_for()))
    path = deliver.stored_file(context, done)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert dataclasses.asdict(done)["bytes"] == path.stat().st_size
