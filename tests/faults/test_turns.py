"""Nobody's exports or slow hosts hold up those of others: real workers, and the rows say whose turn it is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import brokers
import pytest
from backends import make_backend
from exporting import PASSWORD, START, by_ftp, contact_changed, execute, other_session, row_of, settings_for
from ftp_hosts import many_changed, serving
from invariants import require_all_done, wait_until_final
from own_postgres import own_postgres
from processes import worker
from pyftpdlib.handlers import ThrottledDTPHandler
from served import wait_until

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.embedded import sample_catalogue
from contactexport.models import ExportSettings
from contactexport.services import request_export

BYTES_A_SECOND = 14_000


class SlowDTP(ThrottledDTPHandler):
    read_limit = BYTES_A_SECOND


def ask(backend: Backend, user: str, settings: ExportSettings) -> int:
    """Accepted and published, however many the user has."""
    export_id = request_export.store(backend, settings, PASSWORD if settings.ftp else None, user)
    assert backend.queue.publish_export()
    return export_id


def local(days: int, number: int = 0) -> ExportSettings:
    """Of a window of so many days."""
    return settings_for(end=START + timedelta(days=days, microseconds=number))


def began(backend: Backend, ids: list[int]) -> list[int]:
    """In which order they were claimed first."""
    return sorted(ids, key=lambda export_id: row_of(backend, export_id)["started_at"])


@contextmanager
def all_wait(backend: Backend) -> Iterator[None]:
    """Exports that begin meanwhile get no further."""
    with other_session(backend, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("broker", [brokers.FOLDERS, *brokers.URLS])
def test_uploads_to_a_slow_host_hold_up_no_export(backend: Backend, tmp_path: Path, broker: str):
    many_changed(backend)
    execute(backend, "UPDATE contact SET origin_id = 124 WHERE id = (SELECT max(id) FROM contact)")
    execute(backend, "UPDATE contact_change SET origin_id = 124 WHERE contact_id = (SELECT max(id) FROM contact)")
    with (
        brokers.behind(broker, backend) as remote,
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


def test_a_small_export_of_another_user_waits_for_none_of_ten_large_ones(backend: Backend):
    many_changed(backend)
    with worker(backend, concurrency=2, RUNNING_PER_USER="") as running:
        with all_wait(backend):
            large = [ask(backend, "large", local(20, number)) for number in range(10)]
            wait_until(lambda: row_of(backend, large[0])["status"] == "in progress", "the first one runs")
            small = ask(backend, "small", local(2))
            wait_until(lambda: row_of(backend, small)["status"] == "in progress", "the other one runs beside it")
            claimed = [row_of(backend, one)["attempt"] for one in large]
            assert sum(claimed) == 1, "one process is left for others"
        rows = [wait_until_final(backend, one) for one in (*large, small)]
    assert [row["attempt"] for row in rows] == [1] * 11
    require_all_done(backend, [*large, small], logs=[running.log])


def test_users_take_turns_and_small_ones_of_a_user_come_first(backend: Backend):
    contact_changed(backend)
    first = [ask(backend, "first", local(days)) for days in (30, 20, 10)]
    second = [ask(backend, "second", local(days, 1)) for days in (3, 2, 1)]
    with worker(backend, RUNNING_PER_USER="1"):
        for export_id in (*first, *second):
            wait_until_final(backend, export_id)
    order = began(backend, [*first, *second])
    assert [one for one in order if one in first] == first[::-1]
    assert [one for one in order if one in second] == second[::-1]
    assert [one in first for one in order] in ([True, False] * 3, [False, True] * 3)


def test_a_large_export_that_has_waited_long_comes_before_small_ones(backend: Backend):
    contact_changed(backend)
    ids = [ask(backend, "user", local(days)) for days in (30, 1, 2)]
    execute(backend, "UPDATE export SET due_at = due_at - interval '11 minutes' WHERE id = %s", (ids[0],))
    with worker(backend):
        for export_id in ids:
            wait_until_final(backend, export_id)
    assert began(backend, ids) == ids


@pytest.mark.parametrize("limit", [1, 2])
def test_no_user_has_more_exports_running_than_the_limit_and_all_are_done(backend: Backend, limit: int):
    contact_changed(backend)
    with worker(backend, concurrency=4, RUNNING_PER_USER=str(limit), SWEEP_INTERVAL="3600"):
        with all_wait(backend):
            ids = [ask(backend, "user", local(2, number)) for number in range(6)]
            wait_until(lambda: sum(row_of(backend, one)["attempt"] for one in ids) == limit, "so many run")
            wait_until(lambda: backend.queue.waiting("contactexport") == 0, "no message waits")
            time.sleep(0.3)
            assert sum(row_of(backend, one)["attempt"] for one in ids) == limit
        for export_id in ids:  # although no sweep comes
            wait_until_final(backend, export_id)


def test_workers_wait_for_postgres_and_then_do_all_soon(tmp_path: Path):
    """Their messages stay in the queue meanwhile, and no sweep is needed but the one that is asked for then."""
    with own_postgres() as postgres:
        backend = make_backend(postgres.url, tmp_path / "data")
        migrate.upgrade(backend.database)
        sample_catalogue.load(backend.contacts)
        contact_changed(backend)
        ids = [ask(backend, "user", local(2, number)) for number in range(20)]
        backend.database.close()
        postgres.kill()
        with worker(backend, concurrency=2, SWEEP_INTERVAL="3600") as waiting:
            wait_until(lambda: waiting.said("waiting for Postgres"), "it has noticed")
            time.sleep(1)
            assert backend.queue.waiting("contactexport") >= 18
            postgres.start()
            for export_id in ids:
                assert wait_until_final(backend, export_id, 30)["attempt"] == 1
            require_all_done(backend, ids, logs=[waiting.log])
        backend.database.close()
