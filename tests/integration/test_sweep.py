"""The sweep publishes what fell by the wayside, and nothing else."""

import json
import threading
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from exporting import (
    add_contact,
    backend_with,
    by_ftp,
    execute,
    messages,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.db.queries import queries
from contactexport.services.sweep_exports import sweep


def published(backend: Backend) -> list[int]:
    """The ids of the waiting messages, which are taken away."""
    found = []
    for path in messages(backend):
        message = json.loads(path.read_text())
        assert message["headers"]["task"] == "contactexport.run_export"
        found.append(json.loads(b64decode(message["body"]))[0][0])
        path.unlink()
    return found


def age(backend: Backend, column: str, seconds: int) -> None:
    execute(backend, f"UPDATE export SET {column} = {column} - make_interval(secs => %s)", (seconds,))


def test_a_message_holds_the_id_and_no_secret(backend: Backend):
    export_id = request(backend, by_ftp(21))
    (path,) = messages(backend)
    assert path.suffix == ".msg"
    text = path.read_text() + b64decode(json.loads(path.read_text())["body"]).decode()
    assert "127.0.0.1" not in text
    assert "geheim" not in text
    assert published(backend) == [export_id]


def test_an_export_just_published_is_left_alone(backend: Backend):
    request(backend, settings_for())
    assert sweep(backend) == []
    assert len(messages(backend)) == 1


def test_an_export_whose_message_was_lost_is_published_again_and_not_every_time(backend: Backend):
    export_id = request(backend, settings_for())
    published(backend)
    age(backend, "published_at", 61)
    age(backend, "due_at", 62)
    assert sweep(backend) == [export_id] == published(backend)
    assert sweep(backend) == []


def test_an_export_the_broker_did_not_take_is_published_by_the_next_sweep(backend: Backend):
    backend.settings.data_dir.mkdir(exist_ok=True)
    (backend.settings.data_dir / "broker").write_text("not a folder")
    export_id = request(backend, settings_for())
    assert row_of(backend, export_id)["published_at"] is None
    assert sweep(backend) == [export_id]  # in vain, and noted
    assert row_of(backend, export_id)["published_at"] is None
    (backend.settings.data_dir / "broker").unlink()
    assert sweep(backend) == [export_id]
    assert published(backend) == [export_id]


def test_an_export_whose_worker_died_is_published_and_one_that_is_held_is_not(backend: Backend):
    export_id = request(backend, settings_for())
    published(backend)
    key = row_of(backend, export_id)["setting_key"]
    with other_session(backend) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        with backend.database.transaction() as conn:
            export_repository.claim(conn, export_id, key)
        age(backend, "published_at", 3600)
        assert sweep(backend) == []
        cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))
        cursor.execute("SELECT pg_advisory_lock(%s)", (key + 1 if key < 0 else key - 1,))
        assert sweep(backend) == [export_id] == published(backend)
    assert run(backend, export_id).attempt == 2


@pytest.mark.parametrize("key", [-1, 1, 2**32 + 1, -(2**32) - 1, 2**63 - 1, -(2**63)])
def test_the_lock_of_every_key_is_recognised(backend: Backend, key: int):
    export_id = request(backend, settings_for())
    execute(backend, "UPDATE export SET setting_key = %s, published_at = NULL", (key,))
    with other_session(backend) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        assert sweep(backend) == []
    execute(backend, "SELECT pg_advisory_xact_lock(%s)", (key,))
    assert sweep(backend) == [export_id]


def test_an_export_that_waits_for_its_next_attempt_is_published_when_it_is_due(backend: Backend):
    export_id = request(backend, by_ftp(1))
    assert run(backend, export_id).status == "ready"
    published(backend)
    assert sweep(backend) == []
    age(backend, "due_at", 61)
    age(backend, "published_at", 62)
    assert sweep(backend) == [export_id] == published(backend)


def test_finished_exports_are_left_alone(backend: Backend):
    run(backend, request(backend, settings_for()))
    published(backend)
    age(backend, "published_at", 3600)
    assert sweep(backend) == published(backend) == []


def test_sweeps_at_once_publish_each_export_once(backend: Backend):
    ids = {request(backend, settings_for(origin_ids=(origin_id,))) for origin_id in range(5)}
    published(backend)
    age(backend, "published_at", 61)
    barrier = threading.Barrier(4)

    def one(_number: int) -> list[int]:
        barrier.wait()
        return sweep(backend)

    with ThreadPoolExecutor(4) as threads:
        swept = [export_id for found in threads.map(one, range(4)) for export_id in found]
    assert sorted(swept) == sorted(published(backend)) == sorted(ids)


def test_the_sweep_prepares_the_coming_year_of_the_change_log(backend: Backend):
    def months() -> int:
        return execute(backend, "SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'contact_change'::regclass")[
            0
        ]["n"]

    before = months()
    execute(
        backend,
        "DO $$ BEGIN EXECUTE 'DROP TABLE contact_change_' || to_char(now() + interval '5 months', 'YYYY_MM'); END $$",
    )
    assert months() == before - 1
    barrier = threading.Barrier(3)

    def one(_number: int) -> None:
        barrier.wait()
        sweep(backend)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(one, range(3)))
    assert months() == before


def test_the_sweep_does_not_wait_for_an_export_that_reads_the_log(backend: Backend):
    """A new month needs a lock that readers and writers of the log queue up behind."""
    execute(
        backend,
        "DO $$ BEGIN EXECUTE 'DROP TABLE contact_change_' || to_char(now() + interval '5 months', 'YYYY_MM'); END $$",
    )
    with other_session(backend, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        with ThreadPoolExecutor(1) as thread:
            swept = thread.submit(sweep, backend)
            try:
                assert swept.result(timeout=10) == []
            finally:
                reader.rollback()
    add_contact(backend)


def test_the_sweep_of_a_broken_database_publishes_first(backend: Backend):
    export_id = request(backend, settings_for())
    published(backend)
    age(backend, "published_at", 61)
    execute(backend, "DROP FUNCTION contact_change_months")
    with pytest.raises(psycopg2.errors.UndefinedFunction):
        sweep(backend_with(backend))
    assert published(backend) == [export_id]


def test_due_exports_are_looked_for_among_the_unfinished_ones_only(backend: Backend):
    request(backend, settings_for())
    execute(
        backend,
        "INSERT INTO export (settings, setting_key, file_name, created_by, status, due_at, finished_at)"
        " SELECT '{}', n, 'gone.csv', 'tester', 'done', NULL, clock_timestamp() FROM generate_series(1, 20000) AS n",
    )
    execute(backend, "ANALYZE export")
    with backend.database.session() as conn, conn.cursor() as cursor:
        cursor.execute(f"EXPLAIN {queries('export').take_due_exports.sql}", {"republish_after": 60})
        plan = "\n".join(str(row["QUERY PLAN"]) for row in cursor.fetchall())
    assert "export_unfinished_by_user" in plan
    assert "Seq Scan on export" not in plan
