"""A worker that is told to stop ends in time, and what it was working on is resumed at once."""

import os
import signal
from pathlib import Path

import pytest
from exporting import by_ftp, contact_changed, execute, other_session, request, row_of, settings_for
from ftp_hosts import host_is_back, serving
from invariants import require_all_done, require_nothing_lost, wait_until_final
from processes import worker
from served import SilentServer, wait_until

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import Export


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=lambda one: one.name)
def test_a_worker_that_is_stopped_in_the_middle_of_copy_hands_its_export_back(backend: Backend, number):
    contact_changed(backend)
    with other_session(backend, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        export_id = request(backend, settings_for())
        with worker(backend, STOP_WAIT="0.2", SWEEP_INTERVAL="60") as stopped:
            wait_until(lambda: _waits_for_a_lock(backend), "the export's query has begun")
            stopped.signal(number)
            stopped.started.wait(timeout=20)
        row = row_of(backend, export_id)
        assert (row["status"], row["attempt"], row["run_attempts"]) == ("in progress", 1, 0)
        assert row["error"] == "Its worker was stopped"
    with worker(backend, SWEEP_INTERVAL="60"):
        assert wait_until_final(backend, export_id)["attempt"] == 2
    require_all_done(backend, [export_id], logs=[stopped.log])


def test_an_export_that_ends_in_time_is_not_handed_back(backend: Backend):
    contact_changed(backend)
    with other_session(backend, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        export_id = request(backend, settings_for())
        with worker(backend, STOP_WAIT="30") as stopped:
            wait_until(lambda: _waits_for_a_lock(backend), "the export's query has begun")
            stopped.signal(signal.SIGTERM)
            blocking.rollback()
            assert stopped.started.wait(timeout=20) == 0
    assert row_of(backend, export_id)["attempt"] == 1
    require_all_done(backend, [export_id])


def test_an_upload_is_handed_back_when_every_process_gets_the_signal(backend: Backend, tmp_path: Path):
    """As service managers do that signal a whole group of processes."""
    contact_changed(backend)
    silent = SilentServer()
    export_id = request(backend, by_ftp(silent.port))
    with worker(backend, STOP_WAIT="30", SWEEP_INTERVAL="60") as stopped:
        silent.wait_for_visitor()
        os.killpg(stopped.pid, signal.SIGTERM)
        assert stopped.started.wait(timeout=20) == 0
    silent.close()
    row = row_of(backend, export_id)
    assert (row["status"], row["attempt"], row["error"]) == ("ready", 1, "Its worker was stopped")
    rows = require_nothing_lost(backend, [export_id], logs=[stopped.log])
    assert rows[0]["due_at"] <= execute(backend, "SELECT clock_timestamp() AS now")[0]["now"]
    with serving(tmp_path / "host") as (port, _told):
        host_is_back(backend, _export(backend, export_id), port)
        with worker(backend, SWEEP_INTERVAL="60"):
            assert wait_until_final(backend, export_id)["attempt"] == 2
    require_all_done(backend, [export_id], delivered_to=tmp_path / "host")


def _waits_for_a_lock(backend: Backend) -> bool:
    return bool(
        execute(backend, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'contact'")
    )


def _export(backend: Backend, export_id: int) -> Export:
    with backend.database.transaction() as conn:
        return export_repository.get(conn, export_id)
