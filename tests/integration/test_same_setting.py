"""4001: one export of a setting at a time, by the row, the advisory lock and the unique index."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from exporting import REQUIRED_ONLY, TESTER, around_now, execute, other_session, request, row_of, run, settings_for
from served import GETCHANGES

from contactexport import export_lock
from contactexport.backend import Backend
from contactexport.db import advisory_lock, export_repository
from contactexport.errors import ExportAlreadyRunning, ExportLost
from contactexport.services import request_export, run_export


def test_a_lock_held_elsewhere_refuses_the_request_and_stops_the_run(backend: Backend):
    settings = settings_for()
    export_id = request(backend, settings)
    with other_session(backend) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (settings.key(),))
        assert run_export.run(backend, export_id) is None
        assert row_of(backend, export_id)["attempt"] == 0
        execute(backend, "DELETE FROM export")
        with pytest.raises(ExportAlreadyRunning) as refusal:
            request(backend, settings)
        assert refusal.value.reply_code == 4001
    assert execute(backend, "SELECT id FROM export") == []
    assert run(backend, request(backend, settings)).status == "done"


@pytest.mark.parametrize("round_", range(3))
def test_of_twenty_requests_at_once_exactly_one_is_accepted(backend: Backend, round_: int):
    barrier = threading.Barrier(20)

    def ask(_number: int) -> int | None:
        barrier.wait()
        try:
            return request(backend, settings_for())
        except ExportAlreadyRunning:
            return None

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, range(20)))
    accepted = [answer for answer in answers if answer is not None]
    assert len(accepted) == 1
    assert [row["id"] for row in execute(backend, "SELECT id FROM export")] == accepted


def test_a_finished_export_can_be_requested_again_at_once(backend: Backend):
    ids = [run(backend, request(backend, settings_for())).id for _ in range(50)]
    assert ids == sorted(set(ids))


def test_an_export_seen_as_done_can_be_requested_though_its_worker_still_holds_the_lock(backend: Backend):
    settings = settings_for()
    export_id = request(backend, settings)
    with backend.database.session() as worker, export_lock.held_for_session(worker, settings.key()) as held:
        assert held
        claimed = export_repository.claim(worker, export_id, settings.key())
        export_repository.mark_error(worker, claimed, "over")
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(request, backend, settings)
            time.sleep(0.2)  # the worker's last moments
            advisory_lock.unlock_session(worker, settings.key())
            assert asked.result() > export_id


def test_of_two_workers_one_runs_the_export(backend: Backend):
    export_id = request(backend, settings_for())
    barrier = threading.Barrier(4)

    def work(_number: int):
        barrier.wait()
        return run_export.run(backend, export_id)

    with ThreadPoolExecutor(4) as workers:
        results = [export for export in workers.map(work, range(4)) if export is not None]
    assert [export.status for export in results] == ["done"]
    assert row_of(backend, export_id)["attempt"] == 1


def test_the_lock_belongs_to_its_session(backend: Backend):
    for key in (5, -5, 2**63 - 1, -(2**63), 2**32 + 7):
        with backend.database.session() as mine, backend.database.session() as other:
            assert advisory_lock.try_session_lock(mine, key)
            assert not advisory_lock.try_session_lock(other, key)
            export_lock.require_still_held(mine, key)
            with pytest.raises(ExportLost, match="advisory lock is gone"):
                export_lock.require_still_held(other, key)
            with pytest.raises(ExportLost):
                export_lock.require_still_held(mine, key + 2**32 if key < 0 else key - 2**32)
            advisory_lock.unlock_session(mine, key)
            assert advisory_lock.try_session_lock(other, key)


def test_the_lock_ends_with_its_session(backend: Backend):
    with backend.database.session() as dead, export_lock.held_for_session(dead, 7) as held:
        assert held
        dead.close()
    with backend.database.session() as next_one, export_lock.held_for_session(next_one, 7) as held:
        assert held


def test_a_request_fails_whole_when_the_user_has_no_room(backend: Backend):
    limit = backend.settings.exports_per_user
    for origin_id in range(limit):
        request(backend, settings_for(origin_ids=(origin_id,)))
    with pytest.raises(Exception, match="not finished yet"):
        request(backend, settings_for())
    # The same setting is told as such, and the command line is not limited.
    with pytest.raises(ExportAlreadyRunning):
        request(backend, settings_for(origin_ids=(0,)))
    assert request_export.store(backend, settings_for(**around_now()), None, "tester")


def test_a_refusal_names_the_export_that_is_running(api, backend: Backend):
    first = api.post(GETCHANGES, json=REQUIRED_ONLY)
    assert "X-Export-Id" not in first.headers
    for state in ("scheduled", "in progress", "ready"):
        execute(backend, f"UPDATE export SET status = '{state}'")
        refused = api.post(GETCHANGES, json=REQUIRED_ONLY)
        assert (refused.status_code, refused.json["replyCode"], refused.json["data"]) == (400, 4001, "")
        named = refused.headers["X-Export-Id"]
        assert named == str(first.json["data"]["id"])
        assert api.get(f"/api/v2/export/{named}").json["data"]["status"] == state


def test_a_refusal_names_the_export_that_has_ended_while_the_request_was_waiting(backend: Backend):
    ended = run(backend, request(backend, settings_for()))
    with pytest.raises(ExportAlreadyRunning) as refusal:
        request_export.request(backend, settings_for(), None, TESTER, time.perf_counter() - 5)
    assert refusal.value.export_id == ended.id


def test_a_refusal_names_none_of_former_exports(backend: Backend):
    """Somebody else holds the lock of the setting."""
    run(backend, request(backend, settings_for()))
    execute(backend, "UPDATE export SET finished_at = finished_at - interval '1 hour'")
    with other_session(backend) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (settings_for().key(),))
        with pytest.raises(ExportAlreadyRunning) as refusal:
            request(backend, settings_for())
    assert refusal.value.export_id is None
