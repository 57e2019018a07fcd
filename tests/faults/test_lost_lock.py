"""The session that holds an export's lock is ended in the database while the worker goes on: one file arrives."""

import threading
from pathlib import Path

import ftp_hosts
import pytest
from exporting import execute, make_due, row_of, seconds_until_due
from ftp_hosts import files, large_export, serving
from invariants import advisory_locks, require_all_done, require_nothing_lost, wait_until_final
from processes import worker
from served import wait_until

from contactexport.backend import Backend


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def slow() -> dict[str, threading.Event]:
    """Of a host that stops in the middle of the first upload."""
    return {"stopped": threading.Event(), "released": threading.Event()}


def test_an_upload_that_another_worker_has_taken_over_is_broken_off(backend: Backend, inbox: Path, slow):
    with (
        serving(inbox, dtp_handler=ftp_hosts.StopsInTheMiddle, **slow) as (port, told),
        worker(backend, concurrency=3) as running,  # one is kept for exports, so two deliver
    ):
        export_id = large_export(backend, port)
        assert slow["stopped"].wait(60)
        end_the_session_that_holds_the_lock(backend)
        try:
            assert wait_until_final(backend, export_id)["attempt"] == 2
            wait_until(lambda: running.said(f"attempt given up: id={export_id} attempt=1"), "the first one gives up")
        finally:
            slow["released"].set()
        assert told.count("RNTO") == 1
        require_all_done(backend, [export_id], delivered_to=inbox, logs=[running.log])


def test_an_upload_that_ends_without_the_lock_does_not_get_its_name(backend: Backend, inbox: Path, slow):
    """Nobody else has taken it over: the only process is busy with it."""
    with (
        serving(inbox, dtp_handler=ftp_hosts.StopsInTheMiddle, **slow) as (port, told),
        worker(backend) as running,
    ):
        export_id = large_export(backend, port)
        assert slow["stopped"].wait(60)
        end_the_session_that_holds_the_lock(backend)
        slow["released"].set()
        wait_until(lambda: row_of(backend, export_id)["error"] is not None, "it is put off")
        assert (row_of(backend, export_id)["status"], row_of(backend, export_id)["attempt"]) == ("ready", 1)
        assert seconds_until_due(backend, export_id) > 0
        assert (told.count("STOR"), told.count("RNTO"), files(inbox)) == (1, 0, [])
        require_nothing_lost(backend, [export_id], delivered_to=inbox)
        make_due(backend, export_id)
        assert wait_until_final(backend, export_id)["attempt"] == 2
        require_all_done(backend, [export_id], delivered_to=inbox, logs=[running.log])


def end_the_session_that_holds_the_lock(backend: Backend) -> None:
    (holder,) = advisory_locks(backend)
    execute(backend, "SELECT pg_terminate_backend(%s)", (holder["pid"],))
    wait_until(lambda: holder not in advisory_locks(backend), "the lock is free")
