"""A prepared transaction (two-phase commit) counts as a writer, although it belongs to no session."""

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
from psycopg2.extensions import connection

from contactexport.changes import window as change_window
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue
from tests.support.contexts import make_context
from tests.support.exporting import (
    around_now,
    context_with,
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
from tests.support.feeds import add_feed, lines_of, run_feed


@pytest.fixture(scope="module")
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """Its own server: Postgres allows prepared transactions only if it was started with room for them."""
    folder = Path(tempfile.mkdtemp(prefix="prepared-"))
    made = make_context(postgres.start(folder), tmp_path_factory.mktemp("data"))
    with other_session(made) as conn, conn.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    restart(made)
    migrate.upgrade(made.database)
    sample_catalogue.load(made.database)
    yield made
    made.database.close()
    postgres.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def restart(preparing: Context) -> None:
    with other_session(preparing) as conn, conn.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        folder = cursor.fetchone()[0]
    command = [postgres.programs() / "pg_ctl", "-w", "-m", "fast", "-D", folder, "restart"]
    user = "pgserver" if os.geteuid() == 0 else None
    subprocess.run(command, check=True, cwd="/", user=user, stdout=subprocess.DEVNULL)


@contextmanager
def prepared(preparing: Context, name: str) -> Iterator[tuple[int, datetime]]:
    """A contact, and when its transaction began: prepared before the block, committed after it."""
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


def commit(preparing: Context, name: str) -> None:
    with other_session(preparing) as conn, conn.cursor() as cursor:
        cursor.execute("COMMIT PREPARED %s", (name,))


def test_export_waits_for_a_prepared_transaction(preparing: Context):
    start = database_time(preparing)
    export_id = request(preparing, settings_for(start=start, end=around_now()["end"]))
    with ThreadPoolExecutor(1) as worker:
        with prepared(preparing, "waited for") as (contact, _):
            running = worker.submit(run, preparing, export_id)
            wait_until_waiting(preparing)
        assert ids_in(preparing, running.result()) == [contact]


def test_transaction_that_stays_prepared_counts_as_oldest(preparing: Context):
    """Postgres shows when it was prepared, not when it began."""
    impatient, start = context_with(preparing, writers_wait=0.1), database_time(preparing)
    settings = settings_for(start=start, end=around_now()["end"])
    with prepared(preparing, "stays") as (contact, _):
        export = run(impatient, request(preparing, settings))
        assert (export.rows, export.effective_until) == (0, start)
    assert exported_ids(preparing, settings) == [contact]


def test_feed_does_not_begin_in_1970_because_of_a_transaction_that_stays_prepared(preparing: Context):
    """The window of all contacts would end where time begins, and the log need not reach back to that."""
    impatient, feed = context_with(preparing, writers_wait=0.1), add_feed(preparing)
    with prepared(preparing, "stays") as (contact, _):
        waiting = run_feed(impatient, feed)
        assert waiting.status == "in progress"
        assert "unknown age" in waiting.error
    make_due(preparing, waiting.id)
    assert str(contact) in {line.split(",")[0] for line in lines_of(preparing, run(preparing, waiting.id))}


def test_past_window_is_postponed_until_a_forgotten_prepared_transaction_ends(preparing: Context):
    impatient, start = context_with(preparing, writers_wait=0.1), database_time(preparing)
    with prepared(preparing, "tx 'no. 17'\n") as (contact, _):
        settings = settings_for(start=start, end=database_time(preparing))
        export = run(impatient, request(preparing, settings))
        assert (export.status, export.run_attempts) == ("in progress", 0)
        assert re.fullmatch(
            r"Open transactions may still add changes to the window: prepared transaction \"tx 'no\. 17'\\n\" of '\w+',"
            r" prepared \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
            export.error,
        )
    make_due(preparing, export.id)
    done = run(impatient, export.id)
    assert (done.status, done.effective_until, ids_in(preparing, done)) == ("done", settings.end, [contact])


def test_prepared_transaction_with_savepoints_is_named_once(preparing: Context):
    with other_session(preparing, autocommit=False) as writer, writer.cursor() as cursor:
        for name in ("one", "two"):
            cursor.execute(f"SAVEPOINT {name}")
            write_in(writer)
        prepare(writer, "in parts")
    try:
        with preparing.contacts.session() as conn:
            writers = change_window.writers_now(conn)
            found = change_window.describe_writers(conn, writers)
    finally:
        commit(preparing, "in parts")
    assert [details.gid for details in found.values()] == ["in parts"]
    assert len(writers) == 1


def test_prepared_transaction_that_survives_a_restart_is_named(preparing: Context):
    start = database_time(preparing)
    with prepared(preparing, "survives"):
        preparing.database.close()
        restart(preparing)
        settings = settings_for(start=start, end=database_time(preparing))
        export = run(context_with(preparing, writers_wait=0.1), request(preparing, settings))
        assert "prepared transaction 'survives'" in export.error


def test_transaction_prepared_during_the_wait_still_counts(preparing: Context):
    patient, start = context_with(preparing, writers_wait=2), database_time(preparing)
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
