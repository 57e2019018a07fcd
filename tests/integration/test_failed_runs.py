"""What an export becomes when the disk, a database, a worker or the catalogue fails during its run."""

import dataclasses
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exporting import (
    START,
    TESTER,
    backend_with,
    contact_changed,
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

from contactexport import export_file
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import DatabaseUnavailable, ExportAlreadyRunning
from contactexport.services import cancel_export, deliver_export, run_export, sweep_exports, write_rows

# Runs an export in a process of its own, with a limit on the size of its files.
WORKER = """
import resource, sys
from contactexport import make_backend
from contactexport.services import run_export
from contactexport.settings import load_settings
url, data_dir, export_id, most_bytes = sys.argv[1:]
if int(most_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
settings = load_settings({"DATABASE_URL": url, "DATA_DIR": data_dir}, {})
run_export.run(make_backend(settings), int(export_id))
"""


def worker(backend: Backend, export_id: int, most_bytes: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            WORKER,
            backend.database.url,
            str(backend.settings.data_dir),
            str(export_id),
            str(most_bytes),
        ],
    )


def many_contacts(backend: Backend, count: int) -> None:
    execute(
        backend,
        "INSERT INTO contact (origin_kind, origin_id, first_name)"
        " SELECT 'form', 123, repeat('x', 200) FROM generate_series(1, %s)",
        (count,),
    )
    execute(backend, "UPDATE contact_change SET changed_at = %s", (START,))


def stored(backend: Backend) -> list[str]:
    return sorted(path.name for path in backend.settings.storage_dir.glob("[!.]*"))


@pytest.mark.parametrize("spreadsheet", [False, True])
@pytest.mark.parametrize("rows", [2000, 10000])  # less than the write buffer, and more
def test_a_full_disk_leaves_nothing_behind_and_postpones_the_export(backend: Backend, rows: int, spreadsheet: bool):
    many_contacts(backend, rows)
    export_id = request(backend, settings_for(spreadsheet=spreadsheet))
    assert worker(backend, export_id, most_bytes=4096).wait() == 0
    assert stored(backend) == []
    row = row_of(backend, export_id)
    assert (row["status"], row["error"]) == ("in progress", "The file cannot be written: File too large")
    assert 0 < seconds_until_due(backend, export_id) <= 10
    make_due(backend, export_id)
    done = run(backend, export_id)
    assert (done.status, done.rows, done.attempt, done.error) == ("done", rows, 2, None)
    assert stored(backend) == [done.file_name]


def test_a_file_that_cannot_be_written_is_tried_again_later_and_later_and_then_given_up(backend: Backend):
    export_id = request(backend, settings_for())
    for attempt in range(1, 6):
        name = row_of(backend, export_id)["file_name"]
        export_file.part_path(backend.settings.storage_dir, name, attempt).mkdir(parents=True)
    for seconds in (10, 60, 300, 900):
        assert run(backend, export_id).status == "in progress"
        assert seconds - 5 < seconds_until_due(backend, export_id) <= seconds
        make_due(backend, export_id)
    failed = run(backend, export_id)
    assert (failed.status, failed.error) == ("error", "The file cannot be written: Is a directory")
    assert request(backend, settings_for()) > export_id


def test_a_worker_killed_while_it_writes_costs_an_attempt_and_leaves_nothing(backend: Backend):
    many_contacts(backend, 200)
    export_id = request(backend, settings_for())
    with other_session(backend, autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE contact_field")  # the worker stops between claim and file
        process = worker(backend, export_id)
        wait_for(backend, export_id, "in progress")
        process.send_signal(signal.SIGKILL)
        process.wait()
    part = export_file.part_path(backend.settings.storage_dir, row_of(backend, export_id)["file_name"], 1)
    part.parent.mkdir(exist_ok=True)
    part.write_text("what the dead worker had written")
    wait_for_lock(backend, row_of(backend, export_id)["setting_key"])
    lose_messages(backend)
    assert sweep_exports.sweep(backend) == 1
    done = run(backend, export_id)
    assert (done.status, done.attempt, done.rows) == ("done", 2, 200)
    sweep_exports.sweep(backend)
    assert stored(backend) == [done.file_name]


def wait_for(backend: Backend, export_id: int, status: str) -> None:
    for _ in range(1000):
        if row_of(backend, export_id)["status"] == status:
            return
        time.sleep(0.01)
    pytest.fail(f"the export does not become {status}")


def wait_for_lock(backend: Backend, key: int) -> None:
    """Postgres notices the end of a killed client a moment later."""
    execute(backend, "SELECT pg_advisory_xact_lock(%s)", (key,))


def test_an_export_that_kills_its_workers_ends_in_error(backend: Backend):
    export_id = request(backend, settings_for())
    for _ in range(backend.settings.attempt_limit):
        with backend.database.transaction() as conn:
            export_repository.claim(conn, export_id, settings_for().key())
    failed = run(backend, export_id)
    assert (failed.status, failed.error) == ("error", "Given up after 5 attempts")


def test_a_field_that_is_gone_fails_the_export_at_once(backend: Backend):
    export_id = request(backend, settings_for())
    execute(backend, "UPDATE contact_field SET exportable = false WHERE id = 3; DELETE FROM contact_field WHERE id = 1")
    failed = run(backend, export_id)
    assert (failed.status, failed.error) == ("error", "Invalid contact field id: 1, 3")
    assert failed.finished_at is not None


def test_a_query_the_database_refuses_is_tried_again_and_its_reason_is_in_the_log(backend: Backend, caplog):
    export_id = request(backend, settings_for())
    execute(backend, "UPDATE contact_field SET column_name = 'no such column' WHERE id = 1")
    postponed = run(backend, export_id)
    assert (postponed.status, postponed.attempt) == ("in progress", 1)
    assert postponed.error == "The contacts database refuses the query"
    assert "column c.no such column does not exist" in caplog.text
    execute(backend, "UPDATE contact_field SET column_name = 'first_name' WHERE id = 1")
    make_due(backend, export_id)
    assert run(backend, export_id).status == "done"


def test_a_contacts_database_that_is_down_costs_time_and_no_attempt(backend: Backend):
    export_id = request(backend, settings_for())
    without = backend_with(backend, contacts_database_url="postgresql://root@127.0.0.1:1/none")
    for _ in range(3):
        postponed = run(without, export_id)
        assert (postponed.status, postponed.run_attempts) == ("in progress", 0)
        assert postponed.error == "The contacts database does not answer"
        assert 20 < seconds_until_due(backend, export_id) <= 30
        make_due(backend, export_id)
    without.database.close()
    assert run(backend, export_id).status == "done"


def lost(backend: Backend, export_id: int) -> None:
    assert cancel_export.cancel(backend, export_id, TESTER).error == "cancelled"


def broken_connection(backend: Backend, _export_id: int) -> None:
    execute(
        backend,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )


def meanwhile(monkeypatch: pytest.MonkeyPatch, event, then: Exception | None = None) -> None:
    """Lets something happen while the rows are being written."""
    original = write_rows.write

    def write(*arguments):
        event()
        if then is not None:
            raise then
        return original(*arguments)

    monkeypatch.setattr(write_rows, "write", write)


@pytest.mark.parametrize(
    "then", [None, OSError(28, "No space left on device"), DatabaseUnavailable("contacts are away")]
)
def test_a_cancelled_export_is_given_up_by_its_worker(backend: Backend, monkeypatch: pytest.MonkeyPatch, then, caplog):
    export_id = request(backend, settings_for())
    meanwhile(monkeypatch, lambda: lost(backend, export_id), then)
    with caplog.at_level(logging.WARNING):
        assert run_export.run(backend, export_id) is None
    assert "attempt given up" in caplog.text
    assert stored(backend) == []
    row = row_of(backend, export_id)
    assert (row["status"], row["error"], row["attempt"]) == ("error", "cancelled", 2)


def test_a_cancel_just_after_the_file_appeared_removes_it(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    export_id = request(backend, settings_for())
    original = deliver_export.require_ours

    def cancelled_after_the_last_look(conn, export):
        original(conn, export)
        lost(backend, export_id)

    monkeypatch.setattr(deliver_export, "require_ours", cancelled_after_the_last_look)
    assert run_export.run(backend, export_id) is None
    sweep_exports.sweep(backend)
    assert stored(backend) == []


def test_a_worker_that_lost_its_connection_writes_no_file(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    contact = contact_changed(backend)
    export_id = request(backend, settings_for())
    meanwhile(monkeypatch, lambda: broken_connection(backend, export_id))
    postponed = run(backend, export_id)
    assert (postponed.status, postponed.run_attempts) == ("in progress", 0)
    assert stored(backend) == []
    monkeypatch.undo()
    make_due(backend, export_id)
    lose_messages(backend)
    assert sweep_exports.sweep(backend) == 1
    assert run(backend, export_id).rows == 1
    assert exported_ids(backend, settings_for()) == [contact]


def test_a_worker_that_lost_its_lock_writes_no_file(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    export_id = request(backend, settings_for())
    original = deliver_export.require_ours

    def unlocked(conn, export):
        with conn.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        original(conn, export)

    monkeypatch.setattr(deliver_export, "require_ours", unlocked)
    assert run_export.run(backend, export_id) is None
    assert stored(backend) == []
    assert row_of(backend, export_id)["status"] == "in progress"


def test_a_file_that_vanished_before_its_delivery_ends_a_local_export(backend: Backend):
    contact_changed(backend)
    export_id = request(backend, settings_for())
    for damage in (Path.unlink, lambda path: path.write_bytes(b"")):
        damage(deliver_export.stored_file(backend, run(backend, export_id)))
        execute(
            backend,
            "UPDATE export SET status = 'ready', due_at = clock_timestamp(), finished_at = NULL WHERE id = %s",
            (export_id,),
        )
        failed = run(backend, export_id)
        assert failed.status == "error"
        assert "storage folder" in failed.error
        execute(
            backend,
            "UPDATE export SET status = 'in progress', due_at = clock_timestamp(), finished_at = NULL WHERE id = %s",
            (export_id,),
        )


def test_progress_is_told_in_rows(backend: Backend):
    many_contacts(backend, 8000)
    told: list[tuple[int, int, bool]] = []
    export_id = request(backend, settings_for(header=True))
    run_export.run(backend, export_id, lambda *progress: told.append(progress))
    assert told[-1] == (8000, 8000, True)
    assert len(told) > 2
    assert told[-2] == (8000, 8000, False)
    assert [written for written, *_ in told] == sorted(written for written, *_ in told)


def test_a_setting_is_free_again_after_an_error(backend: Backend):
    export_id = request(backend, settings_for())
    with pytest.raises(ExportAlreadyRunning):
        request(backend, settings_for())
    cancel_export.cancel(backend, export_id, TESTER)
    assert request(backend, settings_for()) > export_id


def test_the_files_are_for_their_owner_only(backend: Backend):
    done = run(backend, request(backend, settings_for()))
    path = deliver_export.stored_file(backend, done)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert dataclasses.asdict(done)["bytes"] == path.stat().st_size
