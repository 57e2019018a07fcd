"""Stale attempts do no harm, nor do bugs, time limits of the database and unusual columns."""

import errno
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from contactexport.changes import selection
from contactexport.changes import window as change_window
from contactexport.errors import ExportAlreadyRunning, ExportLost
from contactexport.exports import cancel, lock
from contactexport.exports import run as run_export
from contactexport.files import csv_format, export_file
from tests.support.exporting import (
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


def window(**changes):
    return settings_for(**(around_now() | changes))


def test_cancel_frees_setting_whose_lock_a_hung_worker_holds(context):
    settings = window()
    export_id = request(context, settings)
    with other_session(context) as hung, hung.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (settings.key(),))
        cancel.cancel(context, export_id, TESTER)
        assert request(context, settings) > export_id


def test_cancel_of_finished_export_ends_no_session(context):
    export = run(context, request(context, window()))
    with other_session(context) as newer, newer.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (export.setting_key,))
        cancel.cancel(context, export.id, TESTER)
        cursor.execute("SELECT 1")


def test_cancel_ends_no_session_of_a_newer_export(context, monkeypatch):
    """No request is accepted before the lock is free."""
    settings, free = window(), lock.free
    export_id = request(context, settings)

    def asked_meanwhile(conn, key):
        with pytest.raises(ExportAlreadyRunning):
            request(context, settings)
        free(conn, key)

    monkeypatch.setattr(lock, "free", asked_meanwhile)
    cancel.cancel(context, export_id, TESTER)
    assert request(context, settings) > export_id


def test_cancel_leaves_session_that_it_may_not_end(context, database_name):
    role = f"{database_name}_canceller"
    execute(context, f"CREATE ROLE {role}")
    try:
        with other_session(context) as holder, holder.cursor() as holding, context.database.session() as conn:
            holding.execute("SELECT pg_advisory_lock(5)")
            with conn.cursor() as cursor:
                cursor.execute(f"SET ROLE {role}")
            lock.free(conn, 5)
            holding.execute("SELECT 1")
    finally:
        execute(context, f"DROP ROLE {role}")


def test_stale_attempt_does_not_remove_file_of_newer_one(tmp_path):
    (tmp_path / "changes.csv").write_bytes(b"new")

    def lost():
        raise ExportLost("taken over")

    with pytest.raises(ExportLost):
        export_file.write(tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"old"), before_publish=lost)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"changes.csv": b"new"}


def test_stale_attempt_does_not_replace_file_of_newer_one(tmp_path):
    final = tmp_path / "changes.csv"

    def another_was_faster():
        final.write_bytes(b"new")

    with pytest.raises(ExportLost):
        export_file.write(
            tmp_path, final.name, 1, write_content=lambda to: to.write(b"old"), before_publish=another_was_faster
        )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"changes.csv": b"new"}


def test_file_left_by_dead_attempt_is_replaced(tmp_path):
    (tmp_path / "changes.csv").write_bytes(b"left")
    export_file.write(
        tmp_path, "changes.csv", 2, write_content=lambda to: to.write(b"new"), before_publish=lambda: None
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"changes.csv": b"new"}


def link_fails(monkeypatch, code):
    def link(*_):
        raise OSError(code, "no link")

    monkeypatch.setattr(export_file.os, "link", link)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_is_renamed_on_a_file_system_without_links(tmp_path, monkeypatch, code):
    link_fails(monkeypatch, code)
    export_file.write(
        tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"new"), before_publish=lambda: None
    )
    assert [path.name for path in tmp_path.iterdir()] == ["changes.csv"]


def test_link_that_fails_for_another_reason_is_an_error(tmp_path, monkeypatch):
    link_fails(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="no link"):
        export_file.write(
            tmp_path, "changes.csv", 1, write_content=lambda to: to.write(b"x"), before_publish=lambda: None
        )
    assert list(tmp_path.iterdir()) == []


def test_bug_postpones_export_and_ends_it_after_the_limit(context, monkeypatch):
    monkeypatch.setattr(csv_format, "columns", lambda *_: 1 / 0)
    export_id = request(context, window(header=True))
    for attempt in range(1, context.settings.attempt_limit):
        export = run(context, export_id)
        assert (export.status, export.attempt) == ("in progress", attempt)
        assert export.error == "Internal error, see the log of the worker"
        assert seconds_until_due(context, export_id) > 5
        make_due(context, export_id)
    assert run(context, export_id).status == "error"


def test_bug_in_delivery_ends_export_after_three_attempts(context, monkeypatch):
    def fault(*_args, **_kwargs):
        raise RuntimeError("nobody thought of that")

    monkeypatch.setattr("contactexport.delivery.ftp.FtpDelivery.deliver", fault)
    export_id = request(context, by_ftp(1))
    for _ in range(2):
        assert run(context, export_id).status == "ready"
        make_due(context, export_id)
    ended = run(context, export_id)
    assert (ended.status, ended.error) == ("error", "Internal error, see the log of the worker")


def make_contacts_slow(context, seconds):
    execute(context, "ALTER TABLE contact RENAME TO slow_contact")
    execute(
        context,
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
def test_time_limits_of_the_database_do_not_end_an_export(context, database_name, monkeypatch, limit, since):
    with context.database.session() as conn:
        if conn.server_version < since:
            pytest.skip(f"this server knows no {limit}")
    for _ in range(3):
        add_contact(context)
    export_id = request(context, window())
    make_contacts_slow(context, 0.3)
    original = run_export.write_rows

    def slowly(*arguments):
        time.sleep(0.6)  # idle in the transaction of the snapshot
        return original(*arguments)

    monkeypatch.setattr(run_export, "write_rows", slowly)
    context.database.close()
    execute(context, f"ALTER DATABASE {database_name} SET {limit} = 400")
    assert run(context, export_id).rows == 3


def test_cancelled_query_is_retried(context):
    for _ in range(20):
        add_contact(context)
    export_id = request(context, window())
    make_contacts_slow(context, 0.5)
    with ThreadPoolExecutor(1) as worker:
        running = worker.submit(run, context, export_id)
        while not running.done() and not execute(
            context,
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE query ~ '^COPY' AND state = 'active' AND datname = current_database()",
        ):
            time.sleep(0.02)
        export = running.result()
    assert (export.status, export.run_attempts, export.error) == ("in progress", 1, "The query was cancelled")
    assert seconds_until_due(context, export_id) > 5


def test_conflict_on_a_replica_does_not_count(context, monkeypatch):
    def conflict(conn, *_):
        with conn.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END $$")

    monkeypatch.setattr(selection, "measure", conflict)
    export = run(context, request(context, window()))
    refused = "The database broke off a transaction that was in conflict with another"
    assert (export.status, export.run_attempts, export.error) == ("in progress", 0, refused)


def test_export_does_not_wait_for_writer_that_began_after_its_window(context):
    settings = settings_for()  # a window of 2012
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123)")
        with context.contacts.session() as conn:
            assert change_window.settled_until(conn, settings.start, settings.end, 3600) == settings.end


def test_values_are_compared_as_they_are_stored(context):
    contact_id = add_contact(context, response_rate="1.0")
    execute(context, "DELETE FROM contact_change")
    execute(context, "UPDATE contact SET response_rate = 1.0 WHERE id = %s", (contact_id,))
    assert execute(context, "SELECT count(*) FROM contact_change") == [{"count": 0}]
    execute(context, "UPDATE contact SET response_rate = 1.00 WHERE id = %s", (contact_id,))  # equal, but not identical
    assert execute(context, "SELECT count(*) FROM contact_change") == [{"count": 1}]


def test_column_type_without_equality_does_not_break_updates(context):
    execute(context, "ALTER TABLE contact ADD COLUMN notes json")
    contact_id = add_contact(context, notes="{}")
    execute(context, "UPDATE contact SET notes = '[1]' WHERE id = %s", (contact_id,))
    assert execute(context, "SELECT count(*) FROM contact_change") == [{"count": 2}]


def test_update_without_change_is_not_logged_after_columns_were_added(context):
    add_contact(context, first_name="bob" * 5000, interests=[1, 2])
    execute(context, "ALTER TABLE contact ADD COLUMN loyalty integer NOT NULL DEFAULT 7, DROP COLUMN fax")
    execute(context, "DELETE FROM contact_change")
    execute(context, "UPDATE contact SET first_name = first_name || ''")
    assert execute(context, "SELECT count(*) FROM contact_change") == [{"count": 0}]


def test_change_of_case_counts_in_a_case_insensitive_column(context):
    try:
        execute(
            context, "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg2.errors.FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    execute(context, "ALTER TABLE contact ALTER COLUMN first_name TYPE text COLLATE any_case")
    add_contact(context, first_name="bob")
    execute(context, "DELETE FROM contact_change")
    assert execute(context, "UPDATE contact SET first_name = 'BOB' WHERE first_name = 'Bob' RETURNING 1 AS n")
    assert execute(context, "SELECT count(*) FROM contact_change") == [{"count": 1}]


def test_run_of_cancelled_export_does_nothing(context):
    export_id = request(context, window())
    cancel.cancel(context, export_id, TESTER)
    assert run_export.run(context, export_id) is None
