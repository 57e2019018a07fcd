"""Attempts that were only thought dead, and faults nobody thought of, do no harm."""

import pytest
from exporting import (
    add_contact,
    around_now,
    by_ftp,
    execute,
    make_due,
    other_session,
    request,
    row_of,
    run,
    seconds_until_due,
    settings_for,
)

from contactexport import export_csv, export_file
from contactexport.db import change_repository
from contactexport.errors import ExportLost
from contactexport.services import cancel_export, find_changes, run_export


def window(**changes):
    return settings_for(**(around_now() | changes))


def test_after_a_cancel_the_setting_is_free_although_a_hung_worker_holds_its_lock(backend):
    export_id = request(backend, window())
    with other_session(backend) as hung, hung.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (row_of(backend, export_id)["setting_key"],))
        cancel_export.cancel(backend, export_id)
        request(backend, window())


def test_the_end_of_a_finished_export_takes_nobodys_lock(backend):
    export = run(backend, request(backend, window()))
    with other_session(backend) as newer, newer.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (export.setting_key,))
        cancel_export.cancel(backend, export.id)
        cursor.execute("SELECT 1")


def test_a_late_attempt_does_not_replace_the_file_of_a_newer_one(tmp_path):
    final = tmp_path / "changes.csv"

    def another_was_faster():
        final.write_bytes(b"new")

    with pytest.raises(ExportLost):
        export_file.write(
            tmp_path, final.name, 1, write_content=lambda to: to.write(b"old"), may_appear=another_was_faster
        )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"changes.csv": b"new"}


def test_a_file_left_by_an_attempt_that_died_is_replaced(tmp_path):
    (tmp_path / "changes.csv").write_bytes(b"left")
    export_file.write(tmp_path, "changes.csv", 2, write_content=lambda to: to.write(b"new"), may_appear=lambda: None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"changes.csv": b"new"}


def test_on_a_file_system_without_links_the_file_appears_by_a_rename(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(export_file.os, "link", no_links)
    export_file.write(tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"new"), may_appear=lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["changes.csv"]


def test_a_fault_of_ours_is_put_off_with_a_reason_and_ends_after_the_limit(backend, monkeypatch):
    monkeypatch.setattr(export_csv, "header", lambda *_: 1 / 0)
    export_id = request(backend, window(header=True))
    for attempt in range(1, backend.settings.attempt_limit):
        export = run(backend, export_id)
        assert (export.status, export.attempt) == ("in progress", attempt)
        assert export.error == "Internal error, see the log of the worker"
        assert seconds_until_due(backend, export_id) > 5
        make_due(backend, export_id)
    assert run(backend, export_id).status == "error"


def test_a_fault_of_ours_in_a_delivery_ends_after_three(backend, monkeypatch):
    def fault(*_args, **_kwargs):
        raise RuntimeError("nobody thought of that")

    monkeypatch.setattr("contactexport.delivery.ftp.FtpDelivery.deliver", fault)
    export_id = request(backend, by_ftp(1))
    for _ in range(2):
        assert run(backend, export_id).status == "ready"
        make_due(backend, export_id)
    ended = run(backend, export_id)
    assert (ended.status, ended.error) == ("error", "Internal error, see the log of the worker")


def test_time_limits_of_the_role_do_not_cut_an_export(backend):
    for _ in range(3):
        add_contact(backend)
    execute(backend, "ALTER TABLE contact RENAME TO slow_contact")
    execute(
        backend,
        "CREATE VIEW contact AS SELECT c.* FROM slow_contact AS c, LATERAL (SELECT pg_sleep(0.3 + 0 * c.id)) AS slow",
    )
    execute(
        backend,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 400', current_database()); END $$",
    )
    assert run(backend, request(backend, window())).rows == 3


def test_a_conflict_on_a_replica_is_the_querys_fault_and_counts(backend, monkeypatch):
    def conflict(conn, *_):
        with conn.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END $$")

    monkeypatch.setattr(change_repository, "count_changed", conflict)
    export = run(backend, request(backend, window()))
    assert (export.status, export.run_attempts, export.error) == ("in progress", 1, "The database refuses the query")


def test_a_writer_that_began_after_the_window_is_not_waited_for(backend):
    settings = settings_for()  # a window of 2012
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123)")
        with backend.contacts.session() as conn:
            assert find_changes.settle(conn, settings.start, settings.end, 3600) == settings.end


def test_values_are_compared_as_they_are_written(backend):
    contact_id = add_contact(backend, response_rate="1.0")
    execute(backend, "DELETE FROM contact_change")
    execute(backend, "UPDATE contact SET response_rate = 1.0 WHERE id = %s", (contact_id,))
    assert execute(backend, "SELECT count(*) FROM contact_change") == [{"count": 0}]
    execute(backend, "UPDATE contact SET response_rate = 1.00 WHERE id = %s", (contact_id,))  # equal, but not the same
    assert execute(backend, "SELECT count(*) FROM contact_change") == [{"count": 1}]


def test_a_column_whose_type_knows_no_equality_does_not_break_updates(backend):
    execute(backend, "ALTER TABLE contact ADD COLUMN notes json")
    contact_id = add_contact(backend, notes="{}")
    execute(backend, "UPDATE contact SET notes = '[1]' WHERE id = %s", (contact_id,))
    assert execute(backend, "SELECT count(*) FROM contact_change") == [{"count": 2}]


def test_nothing_is_left_to_do_for_a_run_of_a_cancelled_export(backend):
    export_id = request(backend, window())
    cancel_export.cancel(backend, export_id)
    assert run_export.run(backend, export_id) is None
