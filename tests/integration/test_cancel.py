"""Cancelling: what runs stops soon, what is finished loses its file, and the setting is free again."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from exporting import TESTER, add_contact, around_now, by_ftp, execute, request, row_of, run, settings_for
from ftp_hosts import serving

from contactexport.db import advisory_lock, export_repository
from contactexport.db.queries import queries
from contactexport.services import cancel_export, delete_files, run_export, watch_export


def window():
    return settings_for(**around_now())


def test_a_waiting_export_ends_with_the_reason_and_its_setting_is_free(api, backend):
    export_id = request(backend, window())
    status = api.delete(f"/api/v2/export/{export_id}").json["data"]
    assert (status["status"], status["error"]) == ("error", "cancelled")
    assert run_export.run(backend, export_id) is None
    request(backend, window())


def test_an_unknown_export_cannot_be_cancelled(api):
    answer = api.delete("/api/v2/export/99")
    assert (answer.status_code, answer.json["replyText"]) == (400, "Invalid export ID")


def test_a_running_query_is_stopped_and_leaves_no_file(backend, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(50):
        add_contact(backend, first_name="x" * 1000)
    # A view that is slow to read stands in for millions of contacts.
    execute(backend, "ALTER TABLE contact RENAME TO slow_contact")
    execute(
        backend,
        "CREATE VIEW contact AS SELECT c.* FROM slow_contact AS c, LATERAL (SELECT pg_sleep(1 + 0 * c.id)) AS slow",
    )
    export_id = request(backend, window())
    results = []
    worker = threading.Thread(target=lambda: results.append(run_export.run(backend, export_id)))
    worker.start()
    while row_of(backend, export_id)["rows_expected"] is None:
        time.sleep(0.01)
    cancel_export.cancel(backend, export_id, TESTER)
    worker.join(timeout=10)
    assert results == [None]
    assert list(backend.settings.storage_dir.glob("[!.]*")) == []
    assert row_of(backend, export_id)["error"] == "cancelled"
    assert "attempt given up" in caplog.text
    assert "export postponed" not in caplog.text


def test_a_finished_export_stays_done_and_loses_its_file(backend):
    add_contact(backend)
    export = run(backend, request(backend, window()))
    cancel_export.cancel(backend, export.id, TESTER)
    row = row_of(backend, export.id)
    assert (row["status"], row["error"]) == ("done", None)
    assert row["file_deleted_at"] is not None
    assert list(backend.settings.storage_dir.glob("[!.]*")) == []


def test_files_are_deleted_after_the_retention_and_not_before(backend):
    kept, expired = (run(backend, request(backend, settings_for(language=code))) for code in ("en", "de"))
    execute(backend, "UPDATE export SET finished_at = finished_at - interval '30 days' WHERE id = %s", (expired.id,))
    assert delete_files.delete_expired(backend) == 1
    assert [file.name for file in backend.settings.storage_dir.glob("[!.]*")] == [kept.file_name]
    assert delete_files.delete_expired(backend) == 0


def test_the_files_of_what_ended_first_are_deleted_first(backend):
    early, late = (run(backend, request(backend, settings_for(language=code))) for code in ("en", "de"))
    execute(backend, "UPDATE export SET finished_at = finished_at - interval '1 hour' WHERE id = %s", (late.id,))
    with backend.database.transaction() as conn:
        assert [export_id for export_id, _name in export_repository.expired(conn, 0)] == [late.id, early.id]


def test_exports_that_still_have_their_file_are_found_by_an_index(backend):
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")  # a small table is read whole
        cursor.execute(f"EXPLAIN {queries('export').expired.sql}", {"retention": 0})
        plan = " ".join(row["QUERY PLAN"] for row in cursor)
    assert "export_file_kept" in plan
    assert "Sort" not in plan


def ended_long_ago(backend, *codes):
    """Exports whose retention is over."""
    exports = [run(backend, request(backend, settings_for(language=code))) for code in codes]
    execute(backend, "UPDATE export SET finished_at = finished_at - interval '30 days'")
    return exports


def test_a_file_that_cannot_be_deleted_is_told_and_keeps_no_other(backend, caplog):
    stuck, deleted = ended_long_ago(backend, "en", "de")
    folder = backend.settings.storage_dir
    (folder / stuck.file_name).unlink()
    (folder / stuck.file_name).mkdir()
    assert delete_files.delete_expired(backend) == 1
    assert [file.name for file in folder.glob("[!.]*")] == [stuck.file_name]
    assert f"file not deleted: {stuck.file_name}" in caplog.text
    assert row_of(backend, stuck.id)["file_deleted_at"] is None
    assert row_of(backend, deleted.id)["file_deleted_at"] is not None
    (folder / stuck.file_name).rmdir()
    assert delete_files.delete_expired(backend) == 1


def test_an_export_that_is_being_tried_again_keeps_its_file(backend):
    retried, expired = ended_long_ago(backend, "en", "de")
    execute(backend, "UPDATE export SET status = 'error' WHERE id = %s", (retried.id,))
    with ThreadPoolExecutor(1) as thread, backend.database.transaction() as conn:
        revived = export_repository.retry(conn, retried, None, has_file=True)
        assert thread.submit(delete_files.delete_expired, backend).result(timeout=10) == 1
    assert [file.name for file in backend.settings.storage_dir.glob("[!.]*")] == [retried.file_name]
    assert row_of(backend, expired.id)["file_deleted_at"] is not None
    assert (revived.status, run(backend, retried.id).status) == ("ready", "done")


def test_the_file_of_an_export_delivered_by_ftp_is_deleted_if_the_process_died_before(backend, tmp_path):
    local = run(backend, request(backend, settings_for()))
    with serving(tmp_path / "inbox") as (port, _told):
        delivered = run(backend, request(backend, by_ftp(port)))
    (backend.settings.storage_dir / delivered.file_name).touch()
    assert delete_files.delete_orphans(backend) == 1
    assert [file.name for file in backend.settings.storage_dir.glob("[!.]*")] == [local.file_name]
    assert delete_files.delete_orphans(backend) == 0


def test_what_an_export_just_finished_has_left_is_no_orphan(backend, tmp_path, caplog, monkeypatch):
    with serving(tmp_path / "inbox") as (port, _told):
        delivered = run(backend, request(backend, by_ftp(port)))
    file = backend.settings.storage_dir / delivered.file_name
    file.touch()
    with backend.database.session() as conn:  # its worker, between `done` and the deletion of the file
        assert advisory_lock.try_session_lock(conn, delivered.setting_key)
        assert delete_files.delete_orphans(backend) == 0
    (backend.settings.storage_dir / f"{delivered.file_name}.1.part").touch()
    kept_files = export_repository.kept_files

    def removed_meanwhile(*arguments):
        for path in (file, backend.settings.storage_dir / f"{delivered.file_name}.1.part"):
            path.unlink()
        return kept_files(*arguments)

    monkeypatch.setattr(export_repository, "kept_files", removed_meanwhile)
    assert delete_files.delete_orphans(backend) == 0
    assert "orphaned file deleted" not in caplog.text


def test_an_orphan_that_cannot_be_deleted_keeps_no_other(backend, caplog):
    export_id = request(backend, window())
    name = row_of(backend, export_id)["file_name"]
    backend.settings.storage_dir.mkdir(parents=True)
    (backend.settings.storage_dir / f"{name}.1.part").mkdir()
    (backend.settings.storage_dir / f"{name}.2.part").touch()
    assert delete_files.delete_orphans(backend) == 1
    assert f"file not deleted: {name}.1.part" in caplog.text
    assert f"orphaned file deleted: {name}.1.part" not in caplog.text


def test_a_cancel_that_comes_between_two_queries_stops_the_next_one(backend):
    export_id = request(backend, window())
    with backend.database.session() as conn, conn.cursor() as cursor:
        export = export_repository.claim(conn, export_id, row_of(backend, export_id)["setting_key"])
        cancel_export.cancel(backend, export_id, TESTER)
        in_vain = threading.Event()

        def abort():
            conn.cancel()
            in_vain.set()

        with watch_export.aborting_when_lost(backend, export, abort):
            assert in_vain.wait(timeout=10)
            time.sleep(0.2)  # the first cancel must not arrive late and meet the query
            with pytest.raises(psycopg2.errors.QueryCanceled):
                cursor.execute("SELECT pg_sleep(5)")


@pytest.mark.parametrize(
    "name,orphaned",
    [
        ("{name}.1.part", False),  # the running attempt's
        ("{name}.0.part", True),  # an earlier attempt's
        ("registrations_{id}_en-abcdef.csv.0.part", True),  # the same of an export of created contacts
        ("changes_999_en-abcdef.csv.1.part", False),  # of an export that this database does not know
        ("notes.txt", False),
    ],
)
def test_only_leftovers_of_attempts_that_are_over_are_swept(backend, name, orphaned):
    export_id = request(backend, window())
    execute(backend, "UPDATE export SET status = 'in progress', attempt = 1 WHERE id = %s", (export_id,))
    backend.settings.storage_dir.mkdir(parents=True)
    file = backend.settings.storage_dir / name.format(name=row_of(backend, export_id)["file_name"], id=export_id)
    file.touch()
    assert delete_files.delete_orphans(backend) == int(orphaned)
    assert file.exists() != orphaned


def test_disk_use_counts_our_files_only(backend):
    assert delete_files.disk_use(backend) == (0, 0)
    export = run(backend, request(backend, window()))
    (backend.settings.storage_dir / "notes.txt").write_text("not ours")
    assert delete_files.disk_use(backend) == (1, export.bytes)
