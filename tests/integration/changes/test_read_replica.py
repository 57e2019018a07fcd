"""An export from a replica waits for writers on the primary, then for the replica to catch up."""

import contextlib
import dataclasses
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg2
import pytest

import contactexport
from contactexport.changes import window as change_window
from contactexport.db import migrate
from contactexport.db.connection import Database
from contactexport.embedded import postgres
from contactexport.errors import DatabaseUnavailable, SchemaMismatch
from contactexport.exports import sweep
from tests.support.exporting import (
    add_contact,
    around_now,
    database_time,
    execute,
    exported_ids,
    ids_in,
    make_due,
    other_session,
    request,
    run,
    settings_for,
)


def as_server_user():
    """Postgres does not run as root. The wheel has created a user for it."""
    return {"user": "pgserver"} if os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def replica_host(server_url):
    """The socket folder of a streaming replica of the test server."""
    if "TEST_DATABASE_URL" in os.environ:
        pytest.skip("a replica needs the server's own programs and its folder: only with the wheel's server")
    host = psycopg2.extensions.parse_dsn(server_url)["host"]
    folder = Path(tempfile.mkdtemp(prefix="replica-"))
    folder.chmod(0o777)
    data = folder / "data"
    backup = [
        postgres.programs() / "pg_basebackup",
        "-h",
        host,
        "-U",
        "postgres",
        "-D",
        data,
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
    ]
    control = [postgres.programs() / "pg_ctl", "-w", "-D", data, "-l", folder / "log"]
    subprocess.run(backup, check=True, cwd=folder, **as_server_user())
    subprocess.run([*control, "-o", f"-h '' -k {folder}", "start"], check=True, cwd=folder, **as_server_user())
    yield str(folder)
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder, **as_server_user())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def with_replica(context, database_name, replica_host):
    """The context, with its contacts on the replica."""
    url = f"postgresql://postgres@/{database_name}?host={replica_host}"
    made = contactexport.make_context(dataclasses.replace(context.settings, contacts_database_url=url))
    for _ in range(200):
        try:
            migrate.check(made.contacts)
            break
        except (DatabaseUnavailable, SchemaMismatch):
            time.sleep(0.05)
    yield made
    made.contacts.close()
    made.database.close()


@contextlib.contextmanager
def held_up(with_replica):
    """The replica receives what the primary sends, but does not replay it."""
    with contextlib.closing(psycopg2.connect(with_replica.contacts.url)) as superuser, superuser.cursor() as cursor:
        superuser.autocommit = True
        cursor.execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_wal_replay_resume()")


def window():
    return settings_for(**around_now())


def test_change_committed_just_before_is_exported_although_the_replica_lags(context, with_replica):
    with with_replica.contacts.session() as replica, replica.cursor() as cursor:
        cursor.execute("SHOW hot_standby")
    for _ in range(5):
        contact_id = add_contact(context)
        assert contact_id in exported_ids(with_replica, window())


def test_export_waits_for_a_writer_on_the_primary(context, with_replica):
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        contact_id = cursor.fetchone()[0]
        timer = threading.Timer(0.5, writer.commit)
        timer.start()
        export = run(with_replica, request(with_replica, window()))
        timer.join()
    file = with_replica.settings.storage_dir / export.file_name
    assert file.read_text().startswith(f"{contact_id},")


def test_past_window_is_postponed_for_a_writer_on_the_primary(context, with_replica):
    hurried = contactexport.make_context(dataclasses.replace(with_replica.settings, writers_wait=0.3))
    start = database_time(context)
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        contact_id = cursor.fetchone()[0]
        settings = settings_for(start=start, end=database_time(context))
        export = run(hurried, request(hurried, settings))
        assert (export.status, export.run_attempts) == ("in progress", 0)
        assert f"process {writer.get_backend_pid()} of" in export.error
        writer.commit()
    make_due(context, export.id)
    done = run(with_replica, export.id)
    assert (done.status, done.effective_until, ids_in(with_replica, done)) == ("done", settings.end, [contact_id])


def test_replica_gets_its_whole_wait_after_the_wait_for_writers(context, with_replica, monkeypatch):
    """Otherwise an export would never read a replica that is always a little behind."""
    given = []
    catch_up = change_window._catch_up
    monkeypatch.setattr(change_window, "_catch_up", lambda *values: (given.append(values[2]), catch_up(*values)))
    export_id = request(with_replica, settings_for())
    execute(context, "UPDATE export SET writers_since = clock_timestamp()")
    assert run(with_replica, export_id).status == "done"
    assert given == [with_replica.settings.writers_wait]


def test_paused_replica_postpones_the_export(context, with_replica):
    hurried = contactexport.make_context(dataclasses.replace(with_replica.settings, writers_wait=0.3))
    with held_up(with_replica):
        add_contact(context)
        export = run(hurried, request(hurried, window()))
    assert (export.status, export.run_attempts) == ("in progress", 0)
    assert "lags behind" in export.error


def test_rows_come_from_the_very_replica_that_caught_up(context, with_replica):
    export_id = request(context, window())
    servers = itertools.cycle([context.database.url, with_replica.contacts.url])
    balanced = dataclasses.replace(context, contacts=Database(lambda: next(servers)))
    with held_up(with_replica):
        add_contact(context)
        assert run(balanced, export_id).rows == 1


def test_replica_of_another_server_is_refused(with_replica, tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="other-"))
    other = contactexport.make_context(dataclasses.replace(with_replica.settings, database_url=postgres.start(folder)))
    try:
        migrate.upgrade(other.database)
        export = run(other, request(other, window()))
    finally:
        other.database.close()
        postgres.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert export.status == "error"
    assert "not one of CONTACTEXPORT_DATABASE_URL" in export.error


def test_upgrade_and_sweep_do_not_write_to_a_replica(with_replica):
    before, after = migrate.upgrade(with_replica.contacts)
    assert before == after
    assert sweep.sweep(with_replica) == 0
