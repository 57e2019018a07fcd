"""A prepared transaction (two-phase commit) is a writer like any other, although no session stands behind it."""

import os
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
    other_session,
    request,
    run,
    settings_for,
    wait_until_waiting,
)
from psycopg2.extensions import connection

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue


@pytest.fixture(scope="module")
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A server of its own: Postgres knows no prepared transactions unless it was started with room for them."""
    folder = Path(tempfile.mkdtemp(prefix="prepared-"))
    made = make_backend(postgres.start(folder), tmp_path_factory.mktemp("data"))
    with other_session(made) as conn, conn.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    user = "pgserver" if os.geteuid() == 0 else None
    restart = [postgres.programs() / "pg_ctl", "-w", "-m", "fast", "-D", folder / "postgres", "restart"]
    subprocess.run(restart, check=True, cwd="/", user=user, stdout=subprocess.DEVNULL)
    migrate.upgrade(made.database)
    sample_catalogue.load(made.database)
    yield made
    made.database.close()
    postgres.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


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
        cursor.execute(f"PREPARE TRANSACTION '{name}'")


def commit(preparing: Backend, name: str) -> None:
    with other_session(preparing) as conn, conn.cursor() as cursor:
        cursor.execute(f"COMMIT PREPARED '{name}'")


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
