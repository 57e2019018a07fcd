"""Attempts that were only thought dead, and faults nobody thought of, do no harm."""

import errno
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from exporting import (
    TESTER,
    add_contact,
    around_now,
    by_ftp,
    execute,
    make_due,
    other_session,
    request,
    run,
    seconds_until_due,
    settings_for,
)

from contactexport import export_csv, export_file, export_lock
from contactexport.db import changed_contact_repository
from contactexport.errors import ExportAlreadyRunning, ExportLost
from contactexport.services import cancel_export, find_changes, run_export


def window(**changes):
    return settings_for(**(around_now() | changes))


def test_after_a_cancel_the_setting_is_free_although_a_hung_worker_holds_its_lock(backend):
    settings = window()
    export_id = request(backend, settings)
    with other_session(backend) as hung, hung.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (settings.key(),))
        cancel_export.cancel(backend, export_id, TESTER)
        assert request(backend, settings) > export_id


def test_the_end_of_a_finished_export_takes_nobodys_lock(backend):
    export = run(backend, request(backend, window()))
    with other_session(backend) as newer, newer.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (export.setting_key,))
        cancel_export.cancel(backend, export.id, TESTER)
        cursor.execute("SELECT 1")


def test_a_cancel_ends_no_session_of_a_newer_export(backend, monkeypatch):
    """Nobody is accepted before the lock was freed."""
    settings, free = window(), export_lock.free
    export_id = request(backend, settings)

    def asked_meanwhile(conn, key):
        with pytest.raises(ExportAlreadyRunning):
            request(backend, settings)
        free(conn, key)

    monkeypatch.setattr(export_lock, "free", asked_meanwhile)
    cancel_export.cancel(backend, export_id, TESTER)
    assert request(backend, settings) > export_id


def test_the_session_of_a_role_that_may_not_be_ended_is_left_alone(backend, database_name):
    role = f"{database_name}_canceller"
    execute(backend, f"CREATE ROLE {role}")
    try:
        with other_session(backend) as holder, holder.cursor() as holding, backend.database.session() as conn:
            holding.execute("SELECT pg_advisory_lock(5)")
            with conn.cursor() as cursor:
                cursor.execute(f"SET ROLE {role}")
            export_lock.free(conn, 5)
            holding.execute("SELECT 1")
    finally:
        execute(backend, f"DROP ROLE {role}")


def test_a_late_attempt_does_not_remove_the_file_of_a_newer_one(tmp_path):
    (tmp_path / "changes.csv").write_bytes(b"new")

    def lost():
        raise ExportLost("taken over")

    with pytest.raises(ExportLost):
        export_file.write(tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"old"), may_appear=lost)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"changes.csv": b"new"}


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


def link_fails(monkeypatch, code):
    def link(*_):
        raise OSError(code, "no link")

    monkeypatch.setattr(export_file.os, "link", link)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_on_a_file_system_without_links_the_file_appears_by_a_rename(tmp_path, monkeypatch, code):
    link_fails(monkeypatch, code)
    export_file.write(tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"new"), may_appear=lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["changes.csv"]


def test_a_link_that_fails_for_another_reason_is_an_error(tmp_path, monkeypatch):
    link_fails(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="no link"):
        export_file.write(tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"x"), may_appear=lambda: None)
    assert list(tmp_path.iterdir()) == []


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


def make_contacts_slow(backend, seconds):
    execute(backend, "ALTER TABLE contact RENAME TO slow_contact")
    execute(
        backend,
        "CREATE VIEW contact AS SELECT c.* FROM slow_contact AS c,"
        f" LATERAL (SELECT pg_sleep({seconds} + 0 * c.id)) AS slow",
    )


@pytest.mark.parametrize(
    ("limit", "since"),
    [
        ("statement_timeout", 0),
        ("idle_in_transaction_session_timeout", 0),
        ("idle_session_timeout", 140_000),
        ("transaction_timeout", 170_000),
    ],
)
def test_time_limits_of_the_database_do_not_cut_an_export(backend, database_name, monkeypatch, limit, since):
    with backend.database.session() as conn:
        if conn.server_version < since:
            pytest.skip(f"this server knows no {limit}")
    for _ in range(3):
        add_contact(backend)
    export_id = request(backend, window())
    make_contacts_slow(backend, 0.3)
    original = run_export._fields

    def slowly(*arguments):
        time.sleep(0.6)  # idle, in the transaction of the snapshot
        return original(*arguments)

    monkeypatch.setattr(run_export, "_fields", slowly)
    backend.database.close()
    execute(backend, f"ALTER DATABASE {database_name} SET {limit} = 400")
    assert run(backend, export_id).rows == 3


def test_a_query_somebody_cancelled_is_tried_again(backend):
    for _ in range(20):
        add_contact(backend)
    export_id = request(backend, window())
    make_contacts_slow(backend, 0.5)
    with ThreadPoolExecutor(1) as worker:
        running = worker.submit(run, backend, export_id)
        while not running.done() and not execute(
            backend,
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE query ~ '^COPY' AND state = 'active' AND datname = current_database()",
        ):
            time.sleep(0.02)
        export = running.result()
    assert (export.status, export.run_attempts, export.error) == ("in progress", 1, "The query was cancelled")
    assert seconds_until_due(backend, export_id) > 5


def test_a_conflict_on_a_replica_does_not_count(backend, monkeypatch):
    def conflict(conn, *_):
        with conn.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END $$")

    monkeypatch.setattr(changed_contact_repository, "measure", conflict)
    export = run(backend, request(backend, window()))
    refused = "The database broke off a transaction that was in conflict with another"
    assert (export.status, export.run_attempts, export.error) == ("in progress", 0, refused)


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


def test_an_update_that_changes_nothing_is_not_logged_although_columns_were_added(backend):
    add_contact(backend, first_name="bob" * 5000, interests=[1, 2])
    execute(backend, "ALTER TABLE contact ADD COLUMN loyalty integer NOT NULL DEFAULT 7, DROP COLUMN fax")
    execute(backend, "DELETE FROM contact_change")
    execute(backend, "UPDATE contact SET first_name = first_name || ''")
    assert execute(backend, "SELECT count(*) FROM contact_change") == [{"count": 0}]


def test_a_change_of_case_counts_although_the_column_ignores_case(backend):
    try:
        execute(
            backend, "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg2.errors.FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    execute(backend, "ALTER TABLE contact ALTER COLUMN first_name TYPE text COLLATE any_case")
    add_contact(backend, first_name="bob")
    execute(backend, "DELETE FROM contact_change")
    assert execute(backend, "UPDATE contact SET first_name = 'BOB' WHERE first_name = 'Bob' RETURNING 1 AS n")
    assert execute(backend, "SELECT count(*) FROM contact_change") == [{"count": 1}]


def test_nothing_is_left_to_do_for_a_run_of_a_cancelled_export(backend):
    export_id = request(backend, window())
    cancel_export.cancel(backend, export_id, TESTER)
    assert run_export.run(backend, export_id) is None
