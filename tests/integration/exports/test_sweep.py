"""The sweep publishes messages for exports that are due and that no worker holds, and for no others."""

import json
import threading
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.db.queries import queries
from contactexport.exports import accept
from contactexport.exports import store as export_store
from contactexport.exports.sweep import sweep
from contactexport.queue.publisher import DELIVER, RUN_EXPORT, SWEEP
from tests.support.exporting import (
    add_contact,
    by_ftp,
    context_with,
    execute,
    messages,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)


def published(context: Context) -> list[str]:
    """Takes the waiting messages and returns their tasks."""
    found = []
    for path in messages(context):
        message = json.loads(path.read_text())
        assert message["headers"]["argsrepr"] == "[]"
        found.append(message["headers"]["task"])
        path.unlink()
    return found


def age(context: Context, column: str, seconds: int) -> None:
    execute(context, f"UPDATE export SET {column} = {column} - make_interval(secs => %s)", (seconds,))


def test_message_contains_no_secret(context: Context):
    request(context, by_ftp(21))
    (path,) = messages(context)
    assert path.suffix == ".msg"
    text = path.read_text() + b64decode(json.loads(path.read_text())["body"]).decode()
    assert "127.0.0.1" not in text
    assert "geheim" not in text
    assert published(context) == [RUN_EXPORT]


def test_sweep_leaves_export_whose_message_waits(context: Context):
    request(context, settings_for())
    assert sweep(context) == 0
    assert published(context) == [RUN_EXPORT]


def test_sweep_requeues_export_whose_message_was_lost_only_once(context: Context):
    request(context, settings_for())
    published(context)
    assert sweep(context) == 1
    assert sweep(context) == 0
    assert published(context) == [RUN_EXPORT]


def test_sweep_requeues_export_that_the_broker_did_not_take(context: Context):
    context.settings.data_dir.mkdir(exist_ok=True)
    (context.settings.data_dir / "broker").write_text("not a folder")
    request(context, settings_for())
    assert sweep(context) == 0  # the broker is still down
    (context.settings.data_dir / "broker").unlink()
    assert sweep(context) == 1
    assert published(context) == [RUN_EXPORT]


def test_sweep_requeues_export_whose_worker_died(context: Context):
    export_id = request(context, settings_for())
    published(context)
    key = row_of(context, export_id)["setting_key"]
    with other_session(context) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        with context.database.transaction() as conn:
            export_store.claim(conn, export_id, key)
        assert sweep(context, most_running=9) == 0
        cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))
        cursor.execute("SELECT pg_advisory_lock(%s)", (key + 1 if key < 0 else key - 1,))
        assert sweep(context) == 1
        assert published(context) == [RUN_EXPORT]
    assert run(context, export_id).attempt == 2


@pytest.mark.parametrize("key", [-1, 1, 2**32 + 1, -(2**32) - 1, 2**63 - 1, -(2**63)])
def test_sweep_recognises_the_lock_of_every_key(context: Context, key: int):
    request(context, settings_for())
    published(context)
    execute(context, "UPDATE export SET setting_key = %s", (key,))
    with other_session(context) as worker, worker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        assert sweep(context) == 0
    execute(context, "SELECT pg_advisory_xact_lock(%s)", (key,))
    assert sweep(context) == 1


def test_sweep_requeues_export_whose_next_attempt_is_due(context: Context):
    export_id = request(context, by_ftp(1))
    assert run(context, export_id).status == "ready"
    published(context)
    assert sweep(context) == 0
    age(context, "due_at", 61)
    assert sweep(context) == 1
    assert published(context) == [DELIVER]


def test_sweep_leaves_finished_exports(context: Context):
    run(context, request(context, settings_for()))
    published(context)
    assert sweep(context) == 0
    assert published(context) == []


def test_sweeps_do_not_let_a_backlog_grow_in_the_queue(context: Context):
    for origin_id in range(30):
        accept.store(context, settings_for(origin_ids=(origin_id,)), None, "tester")
        assert context.queue.publish(RUN_EXPORT)
    assert [sweep(context, most_running=100) for _ in range(3)] == [0, 0, 0]
    for path in messages(context)[:7]:
        path.unlink()
    assert [sweep(context, most_running=100) for _ in range(3)] == [7, 0, 0]
    assert len(published(context)) == 30


def test_sweep_publishes_nothing_for_exports_that_may_not_begin_yet(context: Context):
    for origin_id in range(5):
        request(context, settings_for(origin_ids=(origin_id,)))
    published(context)
    assert sweep(context, most_running=2) == 2


def test_queue_has_at_most_one_waiting_sweep(context: Context):
    assert [context.queue.publish_sweep() for _ in range(3)] == [True, False, False]
    assert published(context) == [SWEEP]
    assert context.queue.publish_sweep()


def test_sweep_creates_partitions_of_the_next_year(context: Context):
    def months() -> int:
        return execute(context, "SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'contact_change'::regclass")[
            0
        ]["n"]

    before = months()
    execute(
        context,
        "DO $$ BEGIN EXECUTE 'DROP TABLE contact_change_' || to_char(now() + interval '5 months', 'YYYY_MM'); END $$",
    )
    assert months() == before - 1
    barrier = threading.Barrier(3)

    def one(_number: int) -> None:
        barrier.wait()
        sweep(context)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(one, range(3)))
    assert months() == before


def test_sweep_does_not_wait_for_an_export_that_reads_the_log(context: Context):
    """A new partition needs a lock, and readers and writers of the log would queue up behind it."""
    execute(
        context,
        "DO $$ BEGIN EXECUTE 'DROP TABLE contact_change_' || to_char(now() + interval '5 months', 'YYYY_MM'); END $$",
    )
    with other_session(context, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        with ThreadPoolExecutor(1) as thread:
            swept = thread.submit(sweep, context)
            try:
                assert swept.result(timeout=10) == 0
            finally:
                reader.rollback()
    add_contact(context)


def test_sweep_publishes_before_it_fails(context: Context):
    request(context, settings_for())
    published(context)
    execute(context, "DROP FUNCTION contact_change_months")
    with pytest.raises(psycopg2.errors.UndefinedFunction):
        sweep(context_with(context))
    assert published(context) == [RUN_EXPORT]


def test_sweep_searches_only_unfinished_exports(context: Context):
    request(context, settings_for())
    execute(
        context,
        "INSERT INTO export (settings, setting_key, file_name, created_by, status, due_at, finished_at)"
        " SELECT '{}', n, 'gone.csv', 'tester', 'done', NULL, clock_timestamp() FROM generate_series(1, 20000) AS n",
    )
    execute(context, "ANALYZE export")
    with context.database.session() as conn, conn.cursor() as cursor:
        values = {"deliveries": False, "most_running": 1, "patience": 600, "most": 20}
        cursor.execute(f"EXPLAIN {queries('export').exports_in_turn.sql}", values)
        plan = "\n".join(str(row["QUERY PLAN"]) for row in cursor.fetchall())
    assert "export_unfinished_by_user" in plan
    assert "Seq Scan on export" not in plan
