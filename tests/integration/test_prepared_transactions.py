"""A prepared transaction (two-phase commit) is a writer like any other, although no session stands behind it."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from backends import make_backend
from exporting import (
    around_now,
    backend_with,
    database_time,
    exported_ids,
    ids_in,
    make_due,
    other_session,
    request,
    run,
    settings_for,
    wait_until_waiting,
)
from psycopg2.extensions import connection

from contactexport.backend import Backend
from contactexport.db import change_repository, migrate
from contactexport.embedded import postgres, sample_catalogue


@pytest.fixture(scope="module")
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A server of its own: Postgres knows no prepared transactions unless it was started with room for them."""
    folder = Path(tempfile.mkdtemp(prefix="prepared-"))
    made = make_backend(postgres.start(folder), tmp_path_factory.mktemp("data"))
    with other_session(made) as conn, conn.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    restart(made)
    migrate.upgrade(made.database)
    sample_catalogue.load(made.database)
    yield made
    made.database.close()
    postgres.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def restart(preparing: Backend) -> None:
    with other_session(preparing) as conn, conn.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        folder = cursor.fetchone()[0]
    command = [postgres.programs() / "pg_ctl", "-w", "-m", "fast", "-D", folder, "restart"]
    user = "pgserver" if os.geteuid() == 0 else None
    subprocess.run(command, check=True, cwd="/", user=user, stdout=subprocess.DEVNULL)


@contextmanager
def prepared(preparing: Backend, name: str) -> Iterator[tuple[int, datetime]]:
    """A contact added by a transaction that is prepared in the block and committed after it; and the time it began."""
    with other_session(preparing, autocommit=False) as writer:
        written = write_in(writer)
        prepare(writer, name)
    yield written
    commit(preparing, name)


def write_in(writer: connection) -> tuple[int, datetime]:
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id, now()")
        return cursor.fetchone()


def prepare(writer: connection, name: str) -> None:
    with writer.cursor() as cursor:
        cursor.execute("PREPARE TRANSACTION %s", (name,))


def commit(preparing: Backend, name: str) -> None:
    with other_session(preparing) as conn, conn.cursor() as cursor:
        cursor.execute("COMMIT PREPARED %s", (name,))


def test_a_prepared_transaction_is_waited_for(preparing: Backend):
    start = database_time(preparing)
    export_id = request(preparing, settings_for(start=start, end=around_now()["end"]))
    with ThreadPoolExecutor(1) as worker:
        with prepared(preparing, "waited for") as (contact, _):
            running = worker.submit(run, preparing, export_id)
            wait_until_waiting(preparing)
        assert ids_in(preparing, running.result()) == [contact]


def test_one_that_stays_prepared_counts_as_older_than_everything(preparing: Backend):
    """Postgres tells when it was prepared, and not when it began."""
    impatient, start = backend_with(preparing, writers_wait=0.1), database_time(preparing)
    settings = settings_for(start=start, end=around_now()["end"])
    with prepared(preparing, "stays") as (contact, _):
        export = run(impatient, request(preparing, settings))
        assert (export.rows, export.effective_until) == (0, start)
    assert exported_ids(preparing, settings) == [contact]


def test_a_window_of_the_past_is_put_off_until_a_forgotten_one_has_ended(preparing: Backend):
    impatient, start = backend_with(preparing, writers_wait=0.1), database_time(preparing)
    with prepared(preparing, "tx 'no. 17'\n") as (contact, _):
        settings = settings_for(start=start, end=database_time(preparing))
        export = run(impatient, request(preparing, settings))
        assert (export.status, export.run_attempts) == ("in progress", 0)
        assert re.fullmatch(
            r"Still changing contacts, maybe of the window: prepared transaction \"tx 'no\. 17'\\n\" of '\w+',"
            r" prepared \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
            export.error,
        )
    make_due(preparing, export.id)
    done = run(impatient, export.id)
    assert (done.status, done.effective_until, ids_in(preparing, done)) == ("done", settings.end, [contact])


def test_one_with_savepoints_is_named_once(preparing: Backend):
    with other_session(preparing, autocommit=False) as writer, writer.cursor() as cursor:
        for name in ("one", "two"):
            cursor.execute(f"SAVEPOINT {name}")
            write_in(writer)
        prepare(writer, "in parts")
    try:
        with preparing.contacts.session() as conn:
            writers = change_repository.writers_now(conn)
            found = change_repository.describe_writers(conn, writers)
    finally:
        commit(preparing, "in parts")
    assert [details.gid for details in found.values()] == ["in parts"]
    assert len(writers) == 1


def test_one_that_outlives_the_server_is_waited_for_and_named(preparing: Backend):
    start = database_time(preparing)
    with prepared(preparing, "survives"):
        preparing.database.close()
        restart(preparing)
        settings = settings_for(start=start, end=database_time(preparing))
        export = run(backend_with(preparing, writers_wait=0.1), request(preparing, settings))
        assert "prepared transaction 'survives'" in export.error


def test_one_that_is_prepared_while_an_export_waits_for_it_is_not_forgotten(preparing: Backend):
    patient, start = backend_with(preparing, writers_wait=2), database_time(preparing)
    settings = settings_for(start=start, end=around_now()["end"])
    with other_session(preparing, autocommit=False) as writer, ThreadPoolExecutor(1) as worker:
        contact, began = write_in(writer)
        running = worker.submit(run, patient, request(preparing, settings))
        wait_until_waiting(preparing)
        prepare(writer, "meanwhile")
        export = running.result()
    assert (export.rows, export.effective_until) == (0, began)
    commit(preparing, "meanwhile")
    assert exported_ids(preparing, settings_for(start=began, end=settings.end)) == [contact]
