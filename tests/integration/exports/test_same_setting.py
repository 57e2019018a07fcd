"""Only one export of a setting runs at a time (4001): by the row, the advisory lock and the unique index."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from contactexport.context import Context
from contactexport.db.queries import queries
from contactexport.errors import ExportAlreadyRunning, ExportLost
from contactexport.exports import accept, lock
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from tests.support.exporting import (
    REQUIRED_ONLY,
    TESTER,
    around_now,
    execute,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)
from tests.support.served import GETCHANGES


def test_lock_held_elsewhere_refuses_request_and_stops_run(context: Context):
    settings = settings_for()
    export_id = request(context, settings)
    with other_session(context) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (settings.key(),))
        assert run_export.run(context, export_id) is None
        assert row_of(context, export_id)["attempt"] == 0
        execute(context, "DELETE FROM export")
        with pytest.raises(ExportAlreadyRunning) as refusal:
            request(context, settings)
        assert refusal.value.reply_code == 4001
    assert execute(context, "SELECT id FROM export") == []
    assert run(context, request(context, settings)).status == "done"


@pytest.mark.parametrize("round_", range(3))
def test_exactly_one_of_twenty_simultaneous_requests_is_accepted(context: Context, round_: int):
    barrier = threading.Barrier(20)

    def ask(_number: int) -> int | None:
        barrier.wait()
        try:
            return request(context, settings_for())
        except ExportAlreadyRunning:
            return None

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, range(20)))
    accepted = [answer for answer in answers if answer is not None]
    assert len(accepted) == 1
    assert [row["id"] for row in execute(context, "SELECT id FROM export")] == accepted


def test_finished_export_can_be_requested_again_at_once(context: Context):
    ids = [run(context, request(context, settings_for())).id for _ in range(50)]
    assert ids == sorted(set(ids))


def test_done_export_can_be_requested_while_its_worker_still_holds_the_lock(context: Context):
    settings = settings_for()
    export_id = request(context, settings)
    with context.database.session() as worker, lock.held_for_session(worker, settings.key()) as held:
        assert held
        claimed = export_store.claim(worker, export_id, settings.key())
        export_store.mark_error(worker, claimed, "over")
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(request, context, settings)
            time.sleep(0.2)  # the worker is about to release its lock
            queries("advisory_lock").unlock_session(worker, key=settings.key())
            assert asked.result() > export_id


def test_only_one_of_two_workers_runs_the_export(context: Context):
    export_id = request(context, settings_for())
    barrier = threading.Barrier(4)

    def work(_number: int):
        barrier.wait()
        return run_export.run(context, export_id)

    with ThreadPoolExecutor(4) as workers:
        results = [export for export in workers.map(work, range(4)) if export is not None]
    assert [export.status for export in results] == ["done"]
    assert row_of(context, export_id)["attempt"] == 1


def test_lock_belongs_to_its_session(context: Context):
    for key in (5, -5, 2**63 - 1, -(2**63), 2**32 + 7):
        with context.database.session() as mine, context.database.session() as other:
            assert queries("advisory_lock").try_session_lock(mine, key=key)
            assert not queries("advisory_lock").try_session_lock(other, key=key)
            lock.require_still_held(mine, key)
            with pytest.raises(ExportLost, match="advisory lock is gone"):
                lock.require_still_held(other, key)
            with pytest.raises(ExportLost):
                lock.require_still_held(mine, key + 2**32 if key < 0 else key - 2**32)
            queries("advisory_lock").unlock_session(mine, key=key)
            assert queries("advisory_lock").try_session_lock(other, key=key)


def test_lock_ends_with_its_session(context: Context):
    with context.database.session() as dead, lock.held_for_session(dead, 7) as held:
        assert held
        dead.close()
    with context.database.session() as next_one, lock.held_for_session(next_one, 7) as held:
        assert held


def test_request_beyond_the_limit_of_a_user_stores_nothing(context: Context):
    limit = context.settings.exports_per_user
    for origin_id in range(limit):
        request(context, settings_for(origin_ids=(origin_id,)))
    with pytest.raises(Exception, match="Too many unfinished exports"):
        request(context, settings_for())
    # The same setting is still refused as such. The command line has no limit.
    with pytest.raises(ExportAlreadyRunning):
        request(context, settings_for(origin_ids=(0,)))
    assert accept.store(context, settings_for(**around_now()), None, "tester")


def test_refusal_names_the_running_export(api, context: Context):
    first = api.post(GETCHANGES, json=REQUIRED_ONLY)
    assert "X-Export-Id" not in first.headers
    for state in ("scheduled", "in progress", "ready"):
        execute(context, f"UPDATE export SET status = '{state}'")
        refused = api.post(GETCHANGES, json=REQUIRED_ONLY)
        assert (refused.status_code, refused.json["replyCode"], refused.json["data"]) == (400, 4001, "")
        named = refused.headers["X-Export-Id"]
        assert named == str(first.json["data"]["id"])
        assert api.get(f"/api/v2/export/{named}").json["data"]["status"] == state


def test_refusal_names_export_that_ended_while_the_request_waited(context: Context):
    ended = run(context, request(context, settings_for()))
    with pytest.raises(ExportAlreadyRunning) as refusal:
        accept.request(context, settings_for(), None, TESTER, time.perf_counter() - 5)
    assert refusal.value.export_id == ended.id


def test_refusal_does_not_name_earlier_exports(context: Context):
    """Another session holds the lock of the setting."""
    run(context, request(context, settings_for()))
    execute(context, "UPDATE export SET finished_at = finished_at - interval '1 hour'")
    with other_session(context) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (settings_for().key(),))
        with pytest.raises(ExportAlreadyRunning) as refusal:
            request(context, settings_for())
    assert refusal.value.export_id is None
