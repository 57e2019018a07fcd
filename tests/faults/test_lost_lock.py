"""The session with the lock of an export is ended while its worker continues: one file arrives."""

import threading
from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support import ftp_hosts
from tests.support.exporting import execute, make_due, row_of, seconds_until_due
from tests.support.ftp_hosts import files, large_export, serving
from tests.support.invariants import advisory_locks, require_all_done, require_nothing_lost, wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def slow() -> dict[str, threading.Event]:
    """The events of a host that stops in the middle of the first upload."""
    return {"stopped": threading.Event(), "released": threading.Event()}


def test_upload_stops_after_another_worker_took_it_over(context: Context, inbox: Path, slow):
    with (
        serving(inbox, dtp_handler=ftp_hosts.StopsInTheMiddle, **slow) as (port, told),
        worker(context, concurrency=3) as running,  # one process is reserved for exports, so two deliver
    ):
        export_id = large_export(context, port)
        assert slow["stopped"].wait(60)
        end_the_session_that_holds_the_lock(context)
        try:
            assert wait_until_final(context, export_id)["attempt"] == 2
            wait_until(lambda: running.said(f"attempt given up: id={export_id} attempt=1"), "the first one gives up")
        finally:
            slow["released"].set()
        assert told.count("RNTO") == 1
        require_all_done(context, [export_id], delivered_to=inbox, logs=[running.log])


def test_upload_that_ends_without_the_lock_does_not_get_its_name(context: Context, inbox: Path, slow):
    """No other process takes it over: the only one is busy with it."""
    with (
        serving(inbox, dtp_handler=ftp_hosts.StopsInTheMiddle, **slow) as (port, told),
        worker(context) as running,
    ):
        export_id = large_export(context, port)
        assert slow["stopped"].wait(60)
        end_the_session_that_holds_the_lock(context)
        slow["released"].set()
        wait_until(lambda: row_of(context, export_id)["error"] is not None, "it is postponed")
        assert (row_of(context, export_id)["status"], row_of(context, export_id)["attempt"]) == ("ready", 1)
        assert seconds_until_due(context, export_id) > 0
        assert (told.count("STOR"), told.count("RNTO"), files(inbox)) == (1, 0, [])
        require_nothing_lost(context, [export_id], delivered_to=inbox)
        make_due(context, export_id)
        assert wait_until_final(context, export_id)["attempt"] == 2
        require_all_done(context, [export_id], delivered_to=inbox, logs=[running.log])


def end_the_session_that_holds_the_lock(context: Context) -> None:
    (holder,) = advisory_locks(context)
    execute(context, "SELECT pg_terminate_backend(%s)", (holder["pid"],))
    wait_until(lambda: holder not in advisory_locks(context), "the lock is free")
