"""Exports and slow hosts of one user do not delay those of others. Real workers take turns by the rows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pyftpdlib.handlers import ThrottledDTPHandler

from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import sample_catalogue
from contactexport.exports import accept
from contactexport.exports.models import ExportSettings
from contactexport.queue.publisher import RUN_EXPORT
from tests.support import brokers
from tests.support.contexts import make_context
from tests.support.exporting import (
    PASSWORD,
    START,
    by_ftp,
    contact_changed,
    execute,
    other_session,
    row_of,
    settings_for,
)
from tests.support.ftp_hosts import many_changed, serving
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.own_postgres import own_postgres
from tests.support.processes import worker
from tests.support.served import wait_until

BYTES_A_SECOND = 14_000


class SlowDTP(ThrottledDTPHandler):
    read_limit = BYTES_A_SECOND


def ask(context: Context, user: str, settings: ExportSettings) -> int:
    """Accepts and publishes an export, without a limit for the user."""
    export_id = accept.store(context, settings, PASSWORD if settings.ftp else None, user)
    assert context.queue.publish(RUN_EXPORT)
    return export_id


def local(days: int, number: int = 0) -> ExportSettings:
    """A local export with a window of so many days."""
    return settings_for(end=START + timedelta(days=days, microseconds=number))


def began(context: Context, ids: list[int]) -> list[int]:
    """The ids in the order of their first claims."""
    return sorted(ids, key=lambda export_id: row_of(context, export_id)["started_at"])


@contextmanager
def all_wait(context: Context) -> Iterator[None]:
    """Blocks all exports that begin inside the block."""
    with other_session(context, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("broker", brokers.OTHERS_SLOWLY)
def test_uploads_to_a_slow_host_delay_no_export(context: Context, tmp_path: Path, broker: str):
    many_changed(context)
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = (SELECT max(id) FROM contact)")
    execute(context, "UPDATE contact_change SET origin_id = 124 WHERE contact_id = (SELECT max(id) FROM contact)")
    with (
        brokers.behind(broker, context) as remote,
        serving(tmp_path / "slow", dtp_handler=SlowDTP) as (port, told),
        worker(remote, concurrency=2) as running,
    ):
        slow = [ask(remote, f"slow {n}", by_ftp(port, folder=f"folder{n}")) for n in range(4)]
        wait_until(lambda: all(row_of(remote, one)["status"] == "ready" for one in slow), "all files are written")
        wait_until(lambda: "STOR" in told, "one of them is on its way")
        quick = ask(remote, "quick", settings_for(origin_ids=(124,)))
        assert wait_until_final(remote, quick, 30)["status"] == "done"
        assert [row_of(remote, one)["status"] for one in slow] == ["ready"] * 4
        assert told.count("STOR") == 1, "one process is kept for exports"
        assert running.started.poll() is None


def test_small_export_of_another_user_does_not_wait_for_ten_large_ones(context: Context):
    many_changed(context)
    with worker(context, concurrency=2, RUNNING_PER_USER="") as running:
        with all_wait(context):
            large = [ask(context, "large", local(20, number)) for number in range(10)]
            wait_until(lambda: row_of(context, large[0])["status"] == "in progress", "the first one runs")
            small = ask(context, "small", local(2))
            wait_until(lambda: row_of(context, small)["status"] == "in progress", "the other one runs beside it")
            claimed = [row_of(context, one)["attempt"] for one in large]
            assert sum(claimed) == 1, "one process is left for others"
        rows = [wait_until_final(context, one) for one in (*large, small)]
    assert [row["attempt"] for row in rows] == [1] * 11
    require_all_done(context, [*large, small], logs=[running.log])


def test_users_take_turns_and_small_exports_of_a_user_come_first(context: Context):
    contact_changed(context)
    first = [ask(context, "first", local(days)) for days in (30, 20, 10)]
    second = [ask(context, "second", local(days, 1)) for days in (3, 2, 1)]
    with worker(context, RUNNING_PER_USER="1"):
        for export_id in (*first, *second):
            wait_until_final(context, export_id)
    order = began(context, [*first, *second])
    assert [one for one in order if one in first] == first[::-1]
    assert [one for one in order if one in second] == second[::-1]
    assert [one in first for one in order] in ([True, False] * 3, [False, True] * 3)


def test_large_export_that_has_waited_long_comes_before_small_ones(context: Context):
    contact_changed(context)
    ids = [ask(context, "user", local(days)) for days in (30, 1, 2)]
    execute(context, "UPDATE export SET due_at = due_at - interval '11 minutes' WHERE id = %s", (ids[0],))
    with worker(context):
        for export_id in ids:
            wait_until_final(context, export_id)
    assert began(context, ids) == ids


@pytest.mark.parametrize("limit", [1, 2])
def test_user_never_has_more_running_exports_than_the_limit(context: Context, limit: int):
    contact_changed(context)
    with worker(context, concurrency=4, RUNNING_PER_USER=str(limit), SWEEP_INTERVAL="3600"):
        with all_wait(context):
            ids = [ask(context, "user", local(2, number)) for number in range(6)]
            wait_until(lambda: sum(row_of(context, one)["attempt"] for one in ids) == limit, "so many run")
            wait_until(lambda: context.queue.waiting("contactexport") == 0, "no message waits")
            time.sleep(0.3)
            assert sum(row_of(context, one)["attempt"] for one in ids) == limit
        for export_id in ids:  # although no sweep comes
            wait_until_final(context, export_id)


def test_workers_wait_for_postgres_and_then_do_all_exports_soon(tmp_path: Path):
    """Their messages stay in the queue meanwhile. The only sweep is the one that a worker asks for afterwards."""
    with own_postgres() as postgres:
        context = make_context(postgres.url, tmp_path / "data")
        migrate.upgrade(context.database)
        sample_catalogue.load(context.contacts)
        contact_changed(context)
        ids = [ask(context, "user", local(2, number)) for number in range(20)]
        context.database.close()
        postgres.kill()
        with worker(context, concurrency=2, SWEEP_INTERVAL="3600") as waiting:
            wait_until(lambda: waiting.said("waiting for Postgres"), "it has noticed")
            time.sleep(1)
            assert context.queue.waiting("contactexport") >= 18
            postgres.start()
            for export_id in ids:
                assert wait_until_final(context, export_id, 30)["attempt"] == 1
            require_all_done(context, ids, logs=[waiting.log])
        context.database.close()
