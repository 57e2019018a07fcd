"""The sweep wakes workers for what fell by the wayside, and for nothing else."""

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
from contactexport.export_queue import DELIVER, RUN_EXPORT, SWEEP
from contactexport.services import request_export
from contactexport.services.sweep_exports import sweep


def published(backend: Backend) -> list[str]:
    """The tasks of the waiting messages, which are taken away."""
    found = []
    for path in messages(backend):
        message = json.loads(path.read_text())
        assert message["headers"]["argsrepr"] == "[]"
        found.append(message["headers"]["task"])
        path.unlink()
    return found


def age(backend: Backend, column: str, seconds: int) -> None:
    execute(backend, f"UPDATE export SET {column} = {column} - make_interval(secs => %s)", (seconds,))


def test_a_message_holds_no_secret(backend: Backend):
    request(backend, by_ftp(21))
    (path,) = messages(backend)
    assert path.suffix == ".msg"
    text = path.read_text() + b64decode(json.loads(path.read_text())["body"]).decode()
    assert "127.0.0.1" not in text
    assert "geheim" not in text
    assert published(backend) == [RUN_EXPORT]


def test_an_export_whose_message_waits_is_left_alone(backend: Backend):
    request(backend, settings_for())
    assert sweep(backend) == 0
    assert published(backend) == [RUN_EXPORT]


def test_workers_are_woken_again_for_an_export_whose_message_was_lost_and_not_every_time(backend: Backend):
    request(backend, settings_for())
    published(backend)
    assert sweep(backend) == 1
    assert sweep(backend) == 0
    assert published(backend) == [RUN_EXPORT]


def test_workers_are_woken_by_the_next_sweep_for_an_export_the_broker_did_not_take(backend: Backend):
    backend.settings.data_dir.mkdir(exist_ok=True)
    (backend.settings.data_dir / "broker").write_text("not a folder")
    request(backend, settings_for())
    assert sweep(backend) == 0  # in vain
    (backend.settings.data_dir / "broker").unlink()
    assert sweep(backend) == 1
    assert published(backend) == [RUN_EXPORT]


def test_workers_are_woken_for_an_export_whose_worker_died_and_not_for_one_that_is_held(backend: Backend):
    export_id = request(backend, settings_for())
    published(backend)
    key = row_of(backend, export_id)["setting_key"]
    with other_session(backend) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        with backend.database.transaction() as conn:
            export_repository.claim(conn, export_id, key)
        assert sweep(backend, most_running=9) == 0
        cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))
        cursor.execute("SELECT pg_advisory_lock(%s)", (key + 1 if key < 0 else key - 1,))
        assert sweep(backend) == 1
        assert published(backend) == [RUN_EXPORT]
    assert run(backend, export_id).attempt == 2


@pytest.mark.parametrize("key", [-1, 1, 2**32 + 1, -(2**32) - 1, 2**63 - 1, -(2**63)])
def test_the_lock_of_every_key_is_recognised(backend: Backend, key: int):
    request(backend, settings_for())
    published(backend)
    execute(backend, "UPDATE export SET setting_key = %s", (key,))
    with other_session(backend) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        assert sweep(backend) == 0
    execute(backend, "SELECT pg_advisory_xact_lock(%s)", (key,))
    assert sweep(backend) == 1


def test_workers_are_woken_for_an_export_that_waits_for_its_next_attempt_when_it_is_due(backend: Backend):
    export_id = request(backend, by_ftp(1))
    assert run(backend, export_id).status == "ready"
    published(backend)
    assert sweep(backend) == 0
    age(backend, "due_at", 61)
    assert sweep(backend) == 1
    assert published(backend) == [DELIVER]


def test_finished_exports_are_left_alone(backend: Backend):
    run(backend, request(backend, settings_for()))
    published(backend)
    assert sweep(backend) == 0
    assert published(backend) == []


def test_a_backlog_that_no_worker_takes_does_not_grow_in_the_queue(backend: Backend):
    for origin_id in range(30):
        request_export.store(backend, settings_for(origin_ids=(origin_id,)), None, "tester")
        assert backend.queue.publish_export()
    assert [sweep(backend, most_running=100) for _ in range(3)] == [0, 0, 0]
    for path in messages(backend)[:7]:
        path.unlink()
    assert [sweep(backend, most_running=100) for _ in range(3)] == [7, 0, 0]
    assert len(published(backend)) == 30


def test_a_queue_lacks_no_messages_for_exports_that_may_not_begin_yet(backend: Backend):
    for origin_id in range(5):
        request(backend, settings_for(origin_ids=(origin_id,)))
    published(backend)
    assert sweep(backend, most_running=2) == 2


def test_no_more_than_one_sweep_waits(backend: Backend):
    assert [backend.queue.publish_sweep() for _ in range(3)] == [True, False, False]
    assert published(backend) == [SWEEP]
    assert backend.queue.publish_sweep()


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
                assert swept.result(timeout=10) == 0
            finally:
                reader.rollback()
    add_contact(backend)


def test_the_sweep_of_a_broken_database_publishes_first(backend: Backend):
    request(backend, settings_for())
    published(backend)
    execute(backend, "DROP FUNCTION contact_change_months")
    with pytest.raises(psycopg2.errors.UndefinedFunction):
        sweep(backend_with(backend))
    assert published(backend) == [RUN_EXPORT]


def test_due_exports_are_looked_for_among_the_unfinished_ones_only(backend: Backend):
    request(backend, settings_for())
    execute(
        backend,
        "INSERT INTO export (settings, setting_key, file_name, created_by, status, due_at, finished_at)"
        " SELECT '{}', n, 'gone.csv', 'tester', 'done', NULL, clock_timestamp() FROM generate_series(1, 20000) AS n",
    )
    execute(backend, "ANALYZE export")
    with backend.database.session() as conn, conn.cursor() as cursor:
        values = {"deliveries": False, "most_running": 1, "patience": 600, "most": 20}
        cursor.execute(f"EXPLAIN {queries('export').exports_in_turn.sql}", values)
        plan = "\n".join(str(row["QUERY PLAN"]) for row in cursor.fetchall())
    assert "export_unfinished_by_user" in plan
    assert "Seq Scan on export" not in plan
