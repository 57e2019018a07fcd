"""Cancelling: what runs stops soon, what is finished loses its file, and the setting is free again."""

import threading
import time

import pytest
from exporting import add_contact, around_now, execute, request, row_of, run, settings_for

from contactexport.services import cancel_export, delete_files, run_export


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


def test_a_running_query_is_stopped_and_leaves_no_file(backend):
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
    cancel_export.cancel(backend, export_id)
    worker.join(timeout=10)
    assert results == [None]
    assert list(backend.settings.storage_dir.iterdir()) == []
    assert row_of(backend, export_id)["error"] == "cancelled"


def test_a_finished_export_stays_done_and_loses_its_file(backend):
    add_contact(backend)
    export = run(backend, request(backend, window()))
    cancel_export.cancel(backend, export.id)
    row = row_of(backend, export.id)
    assert (row["status"], row["error"]) == ("done", None)
    assert row["file_deleted_at"] is not None
    assert list(backend.settings.storage_dir.iterdir()) == []


def test_files_are_deleted_after_the_retention_and_not_before(backend):
    kept, expired = (run(backend, request(backend, settings_for(language=code))) for code in ("en", "de"))
    execute(backend, "UPDATE export SET finished_at = finished_at - interval '30 days' WHERE id = %s", (expired.id,))
    assert delete_files.delete_expired(backend) == 1
    assert [file.name for file in backend.settings.storage_dir.iterdir()] == [kept.file_name]
    assert delete_files.delete_expired(backend) == 0


@pytest.mark.parametrize(
    "name,orphaned",
    [
        ("{name}.1.part", False),  # the running attempt's
        ("{name}.0.part", True),  # an earlier attempt's
        ("changes_999_en-abcdef.csv.1.part", False),  # of an export that this database does not know
        ("notes.txt", False),
    ],
)
def test_only_leftovers_of_attempts_that_are_over_are_swept(backend, name, orphaned):
    export_id = request(backend, window())
    execute(backend, "UPDATE export SET status = 'in progress', attempt = 1 WHERE id = %s", (export_id,))
    backend.settings.storage_dir.mkdir(parents=True)
    file = backend.settings.storage_dir / name.format(name=row_of(backend, export_id)["file_name"])
    file.touch()
    assert delete_files.delete_orphans(backend) == int(orphaned)
    assert file.exists() != orphaned


def test_disk_use_counts_our_files_only(backend):
    assert delete_files.disk_use(backend) == (0, 0)
    export = run(backend, request(backend, window()))
    (backend.settings.storage_dir / "notes.txt").write_text("not ours")
    assert delete_files.disk_use(backend) == (1, export.bytes)
