"""Cancelling and cleaning up: a running export stops soon, a finished one loses its file, and the setting is free."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from contactexport.db.queries import queries
from contactexport.errors import DatabaseConflict
from contactexport.exports import cancel, files, lock
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from tests.support.exporting import (
    TESTER,
    add_contact,
    around_now,
    by_ftp,
    execute,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)
from tests.support.ftp_hosts import serving


def window():
    return settings_for(**around_now())


def test_cancel_ends_waiting_export_and_frees_its_setting(api, context):
    export_id = request(context, window())
    status = api.delete(f"/api/v2/export/{export_id}").json["data"]
    assert (status["status"], status["error"]) == ("error", "cancelled")
    assert run_export.run(context, export_id) is None
    request(context, window())


def test_cancel_of_unknown_export_is_refused(api):
    answer = api.delete("/api/v2/export/99")
    assert (answer.status_code, answer.json["replyText"]) == (400, "Invalid export ID")


def test_cancel_stops_running_query_and_leaves_no_file(context, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(50):
        add_contact(context, first_name="x" * 1000)
    # A slow view takes the place of millions of contacts.
    execute(context, "ALTER TABLE contact RENAME TO slow_contact")
    execute(
        context,
        "CREATE VIEW contact AS SELECT c.* FROM slow_contact AS c, LATERAL (SELECT pg_sleep(1 + 0 * c.id)) AS slow",
    )
    export_id = request(context, window())
    results = []
    worker = threading.Thread(target=lambda: results.append(run_export.run(context, export_id)))
    worker.start()
    while row_of(context, export_id)["rows_expected"] is None:
        time.sleep(0.01)
    cancel.cancel(context, export_id, TESTER)
    worker.join(timeout=10)
    assert results == [None]
    assert list(context.settings.storage_dir.glob("[!.]*")) == []
    assert row_of(context, export_id)["error"] == "cancelled"
    assert "attempt given up" in caplog.text
    assert "export postponed" not in caplog.text


def test_cancel_of_finished_export_deletes_only_its_file(context):
    add_contact(context)
    export = run(context, request(context, window()))
    cancel.cancel(context, export.id, TESTER)
    row = row_of(context, export.id)
    assert (row["status"], row["error"]) == ("done", None)
    assert row["file_deleted_at"] is not None
    assert list(context.settings.storage_dir.glob("[!.]*")) == []


def test_sweep_deletes_files_after_the_retention_and_not_before(context):
    kept, expired = (run(context, request(context, settings_for(language=code))) for code in ("en", "de"))
    execute(context, "UPDATE export SET finished_at = finished_at - interval '30 days' WHERE id = %s", (expired.id,))
    assert files.delete_expired(context) == 1
    assert [file.name for file in context.settings.storage_dir.glob("[!.]*")] == [kept.file_name]
    assert files.delete_expired(context) == 0


def test_files_of_exports_that_ended_first_are_deleted_first(context):
    early, late = (run(context, request(context, settings_for(language=code))) for code in ("en", "de"))
    execute(context, "UPDATE export SET finished_at = finished_at - interval '1 hour' WHERE id = %s", (late.id,))
    with context.database.transaction() as conn:
        assert [export_id for export_id, _name in export_store.expired(conn, 0, most=50)] == [late.id, early.id]


def test_exports_that_still_have_their_file_are_found_by_an_index(context):
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"
        )  # otherwise a small table is scanned
        cursor.execute(f"EXPLAIN {queries('export').expired.sql}", {"retention": 0, "most": 50, "left_out": []})
        plan = " ".join(row["QUERY PLAN"] for row in cursor)
    assert "export_file_kept" in plan
    assert "Sort" not in plan


def ended_long_ago(context, *codes):
    """Exports whose retention is over."""
    exports = [run(context, request(context, settings_for(language=code))) for code in codes]
    execute(context, "UPDATE export SET finished_at = finished_at - interval '30 days'")
    return exports


def test_file_that_cannot_be_deleted_is_logged_and_blocks_no_other(context, caplog):
    stuck, deleted = ended_long_ago(context, "en", "de")
    folder = context.settings.storage_dir
    (folder / stuck.file_name).unlink()
    (folder / stuck.file_name).mkdir()
    assert files.delete_expired(context) == 1
    assert [file.name for file in folder.glob("[!.]*")] == [stuck.file_name]
    assert f"file not deleted: {stuck.file_name}" in caplog.text
    assert row_of(context, stuck.id)["file_deleted_at"] is None
    assert row_of(context, deleted.id)["file_deleted_at"] is not None
    (folder / stuck.file_name).rmdir()
    assert files.delete_expired(context) == 1


def test_export_that_is_being_retried_keeps_its_file(context):
    retried, expired = ended_long_ago(context, "en", "de")
    execute(context, "UPDATE export SET status = 'error' WHERE id = %s", (retried.id,))
    with ThreadPoolExecutor(1) as thread, context.database.transaction() as conn:
        revived = export_store.retry(conn, retried, None, has_file=True)
        assert thread.submit(files.delete_expired, context).result(timeout=10) == 1
    assert [file.name for file in context.settings.storage_dir.glob("[!.]*")] == [retried.file_name]
    assert row_of(context, expired.id)["file_deleted_at"] is not None
    assert (revived.status, run(context, retried.id).status) == ("ready", "done")


def test_sweep_deletes_delivered_file_whose_process_died_before_deleting_it(context, tmp_path):
    local = run(context, request(context, settings_for()))
    with serving(tmp_path / "inbox") as (port, _told):
        delivered = run(context, request(context, by_ftp(port)))
    (context.settings.storage_dir / delivered.file_name).touch()
    assert files.delete_orphans(context) == 1
    assert [file.name for file in context.settings.storage_dir.glob("[!.]*")] == [local.file_name]
    assert files.delete_orphans(context) == 0


def test_file_of_export_that_just_finished_is_no_orphan(context, tmp_path, caplog, monkeypatch):
    with serving(tmp_path / "inbox") as (port, _told):
        delivered = run(context, request(context, by_ftp(port)))
    file = context.settings.storage_dir / delivered.file_name
    file.touch()
    with context.database.session() as conn:  # its worker, between `done` and the deletion of the file
        assert queries("advisory_lock").try_session_lock(conn, key=delivered.setting_key)
        assert files.delete_orphans(context) == 0
    (context.settings.storage_dir / f"{delivered.file_name}.1.part").touch()
    stored_files = export_store.stored_files

    def removed_meanwhile(*arguments):
        for path in (file, context.settings.storage_dir / f"{delivered.file_name}.1.part"):
            path.unlink()
        return stored_files(*arguments)

    monkeypatch.setattr(export_store, "stored_files", removed_meanwhile)
    assert files.delete_orphans(context) == 0
    assert "orphaned file deleted" not in caplog.text


def test_orphan_that_cannot_be_deleted_blocks_no_other(context, caplog):
    export_id = request(context, window())
    name = row_of(context, export_id)["file_name"]
    context.settings.storage_dir.mkdir(parents=True)
    (context.settings.storage_dir / f"{name}.1.part").mkdir()
    (context.settings.storage_dir / f"{name}.2.part").touch()
    assert files.delete_orphans(context) == 1
    assert f"file not deleted: {name}.1.part" in caplog.text
    assert f"orphaned file deleted: {name}.1.part" not in caplog.text


def test_cancel_between_two_queries_stops_the_next_one(context):
    export_id = request(context, window())
    with context.database.session() as conn, conn.cursor() as cursor:
        export = export_store.claim(conn, export_id, row_of(context, export_id)["setting_key"])
        cancel.cancel(context, export_id, TESTER)
        in_vain = threading.Event()

        def abort():
            conn.cancel()
            in_vain.set()

        with lock.aborting_when_lost(context, export, abort):
            assert in_vain.wait(timeout=10)
            time.sleep(0.2)  # the first cancel must not arrive late and stop the query
            with pytest.raises(psycopg2.errors.QueryCanceled):
                cursor.execute("SELECT pg_sleep(5)")


@pytest.mark.parametrize(
    "name,orphaned",
    [
        ("{name}.1.part", False),  # of the running attempt
        ("{name}.0.part", True),  # of an earlier attempt
        ("registrations_{id}_en-abcdef.csv.0.part", True),  # of an earlier attempt, of an export of registrations
        ("changes_999_en-abcdef.csv.1.part", False),  # of an export that this database does not know
        ("notes.txt", False),
    ],
)
def test_sweep_deletes_only_temporary_files_of_ended_attempts(context, name, orphaned):
    export_id = request(context, window())
    execute(context, "UPDATE export SET status = 'in progress', attempt = 1 WHERE id = %s", (export_id,))
    context.settings.storage_dir.mkdir(parents=True)
    file = context.settings.storage_dir / name.format(name=row_of(context, export_id)["file_name"], id=export_id)
    file.touch()
    assert files.delete_orphans(context) == int(orphaned)
    assert file.exists() != orphaned


def test_disk_use_counts_only_our_files(context):
    assert files.disk_use(context) == (0, 0)
    export = run(context, request(context, window()))
    (context.settings.storage_dir / "notes.txt").write_text("not ours")
    assert files.disk_use(context) == (1, export.bytes)


def test_files_are_deleted_in_batches_and_stuck_ones_are_left_out(context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "BATCH", 2)
    exports = ended_long_ago(context, "en", "de", "fr", "it", "es")
    for stuck in exports[:2]:
        (path := context.settings.storage_dir / stuck.file_name).unlink()
        path.mkdir()
    assert files.delete_expired(context) == 3
    assert len(list(context.settings.storage_dir.glob("[!.]*"))) == 2


def test_cancel_does_not_wait_for_ever_for_who_holds_the_export(context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cancel, "ROW_SECONDS", 0.05)
    export_id = request(context, settings_for())
    with other_session(context, autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM export WHERE id = %s FOR UPDATE", (export_id,))
        with pytest.raises(DatabaseConflict, match="Another transaction holds a lock for too long"):
            cancel.cancel(context, export_id, TESTER)
    cancel.cancel(context, export_id, TESTER)
    assert row_of(context, export_id)["error"] == "cancelled"
