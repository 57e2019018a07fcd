"""Contacts are read from a replica: changes are waited for on the primary, and until the replica has them."""

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
from exporting import (
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

import contactexport
from contactexport.db import migrate
from contactexport.db.connection import Database
from contactexport.embedded import postgres
from contactexport.errors import DatabaseUnavailable, SchemaMismatch
from contactexport.services import find_changes, sweep_exports


def as_server_user():
    """Postgres does not run as root; the wheel has made a user for that."""
    return {"user": "pgserver"} if os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def replica_host(server_url):
    """Socket folder of a streaming replica of the tests' server."""
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
def with_replica(backend, database_name, replica_host):
    """The backend with contacts read from the replica."""
    url = f"postgresql://postgres@/{database_name}?host={replica_host}"
    made = contactexport.make_backend(dataclasses.replace(backend.settings, contacts_database_url=url))
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
    """The replica takes what the primary sends and does not show it."""
    with contextlib.closing(psycopg2.connect(with_replica.contacts.url)) as superuser, superuser.cursor() as cursor:
        superuser.autocommit = True
        cursor.execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_wal_replay_resume()")


def window():
    return settings_for(**around_now())


def test_a_change_committed_a_moment_ago_is_in_the_file_although_the_replica_lags(backend, with_replica):
    with with_replica.contacts.session() as replica, replica.cursor() as cursor:
        cursor.execute("SHOW hot_standby")
    for _ in range(5):
        contact_id = add_contact(backend)
        assert contact_id in exported_ids(with_replica, window())


def test_a_change_in_flight_on_the_primary_is_waited_for(backend, with_replica):
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        contact_id = cursor.fetchone()[0]
        timer = threading.Timer(0.5, writer.commit)
        timer.start()
        export = run(with_replica, request(with_replica, window()))
        timer.join()
    file = with_replica.settings.storage_dir / export.file_name
    assert file.read_text().startswith(f"{contact_id},")


def test_a_window_of_the_past_is_put_off_for_a_writer_on_the_primary(backend, with_replica):
    hurried = contactexport.make_backend(dataclasses.replace(with_replica.settings, writers_wait=0.3))
    start = database_time(backend)
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        contact_id = cursor.fetchone()[0]
        settings = settings_for(start=start, end=database_time(backend))
        export = run(hurried, request(hurried, settings))
        assert (export.status, export.run_attempts) == ("in progress", 0)
        assert f"process {writer.get_backend_pid()} of" in export.error
        writer.commit()
    make_due(backend, export.id)
    done = run(with_replica, export.id)
    assert (done.status, done.effective_until, ids_in(with_replica, done)) == ("done", settings.end, [contact_id])


def test_a_replica_is_given_the_whole_wait_again_after_writers_were_waited_for(backend, with_replica, monkeypatch):
    """Else one that is always a little behind would never be read."""
    given = []
    catch_up = find_changes._catch_up
    monkeypatch.setattr(find_changes, "_catch_up", lambda *values: (given.append(values[2]), catch_up(*values)))
    export_id = request(with_replica, settings_for())
    execute(backend, "UPDATE export SET writers_since = clock_timestamp()")
    assert run(with_replica, export_id).status == "done"
    assert given == [with_replica.settings.writers_wait]


def test_a_replica_that_is_held_up_postpones_the_export(backend, with_replica):
    hurried = contactexport.make_backend(dataclasses.replace(with_replica.settings, writers_wait=0.3))
    with held_up(with_replica):
        add_contact(backend)
        export = run(hurried, request(hurried, window()))
    assert (export.status, export.run_attempts) == ("in progress", 0)
    assert "lags behind" in export.error


def test_behind_a_load_balancer_the_rows_come_from_the_server_that_was_waited_for(backend, with_replica):
    export_id = request(backend, window())
    servers = itertools.cycle([backend.database.url, with_replica.contacts.url])
    balanced = dataclasses.replace(backend, contacts=Database(lambda: next(servers)))
    with held_up(with_replica):
        add_contact(backend)
        assert run(balanced, export_id).rows == 1


def test_a_replica_of_another_server_is_refused(with_replica, tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="other-"))
    other = contactexport.make_backend(dataclasses.replace(with_replica.settings, database_url=postgres.start(folder)))
    try:
        migrate.upgrade(other.database)
        export = run(other, request(other, window()))
    finally:
        other.database.close()
        postgres.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert export.status == "error"
    assert "not one of CONTACTEXPORT_DATABASE_URL" in export.error


def test_upgrade_and_sweep_leave_a_replica_alone(with_replica):
    before, after = migrate.upgrade(with_replica.contacts)
    assert before == after
    assert sweep_exports.sweep(with_replica) == 0
