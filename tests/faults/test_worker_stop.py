"""A worker that is told to stop ends in time, and its exports are resumed at once."""

import os
import signal
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.exports import store as export_store
from contactexport.exports.models import Export
from tests.support.exporting import by_ftp, contact_changed, execute, other_session, request, row_of, settings_for
from tests.support.ftp_hosts import host_is_back, serving
from tests.support.invariants import require_all_done, require_nothing_lost, wait_until_final
from tests.support.processes import worker
from tests.support.served import SilentServer, wait_until


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGQUIT, marks=pytest.mark.slow)],
    ids=lambda one: one.name,
)
def test_worker_stopped_in_the_middle_of_copy_hands_its_export_back(context: Context, number):
    contact_changed(context)
    with other_session(context, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        export_id = request(context, settings_for())
        with worker(context, STOP_WAIT="0.2", SWEEP_INTERVAL="60") as stopped:
            wait_until(lambda: _waits_for_a_lock(context), "the export's query has begun")
            stopped.signal(number)
            stopped.started.wait(timeout=20)
        row = row_of(context, export_id)
        assert (row["status"], row["attempt"], row["run_attempts"]) == ("in progress", 1, 0)
        assert row["error"] == "Its worker was stopped"
    with worker(context, SWEEP_INTERVAL="60"):
        assert wait_until_final(context, export_id)["attempt"] == 2
    require_all_done(context, [export_id], logs=[stopped.log])


def test_export_that_ends_in_time_is_not_handed_back(context: Context):
    contact_changed(context)
    with other_session(context, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        export_id = request(context, settings_for())
        with worker(context, STOP_WAIT="30") as stopped:
            wait_until(lambda: _waits_for_a_lock(context), "the export's query has begun")
            stopped.signal(signal.SIGTERM)
            blocking.rollback()
            assert stopped.started.wait(timeout=20) == 0
    assert row_of(context, export_id)["attempt"] == 1
    require_all_done(context, [export_id])


def test_upload_is_handed_back_when_every_process_gets_the_signal(context: Context, tmp_path: Path):
    """Some service managers signal all processes of a group."""
    contact_changed(context)
    silent = SilentServer()
    export_id = request(context, by_ftp(silent.port))
    with worker(context, STOP_WAIT="30", SWEEP_INTERVAL="60") as stopped:
        silent.wait_for_visitor()
        os.killpg(stopped.pid, signal.SIGTERM)
        assert stopped.started.wait(timeout=20) == 0
    silent.close()
    row = row_of(context, export_id)
    assert (row["status"], row["attempt"], row["error"]) == ("ready", 1, "Its worker was stopped")
    rows = require_nothing_lost(context, [export_id], logs=[stopped.log])
    assert rows[0]["due_at"] <= execute(context, "SELECT clock_timestamp() AS now")[0]["now"]
    with serving(tmp_path / "host") as (port, _told):
        host_is_back(context, _export(context, export_id), port)
        with worker(context, SWEEP_INTERVAL="60"):
            assert wait_until_final(context, export_id)["attempt"] == 2
    require_all_done(context, [export_id], delivered_to=tmp_path / "host")


def _waits_for_a_lock(context: Context) -> bool:
    return bool(
        execute(context, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'contact'")
    )


def _export(context: Context, export_id: int) -> Export:
    with context.database.transaction() as conn:
        return export_store.get(conn, export_id)
