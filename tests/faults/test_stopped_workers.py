"""A stopped worker (SIGSTOP) is thought dead, its export is taken over, and it continues: it does no harm."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyftpdlib.handlers import FTPHandler

from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning
from contactexport.exports.sweep import sweep
from tests.support.exporting import by_ftp, request, settings_for
from tests.support.ftp_hosts import files, refuse_to_overwrite, serving
from tests.support.invariants import advisory_locks, require_all_done
from tests.support.processes import Process, worker
from tests.support.served import wait_until
from tests.support.stopped import Halting, stop_points

# At each of them an attempt is about to write. Those after READY are for deliveries by FTP.
READY = "marked ready"
ORDERS = {
    "each further than the last": [
        "export claimed", "rows half written", "file written", "file may appear", "file named", "leftover found", READY,
        "upload begun", "file uploaded", "rename begun", "upload renamed",
    ],
    "each less far than the last": [
        "file named", "leftover found", "file may appear", "file written", "rows half written", "export claimed", READY,
        "upload renamed", "upload to be replaced", "rename begun", "file uploaded", "upload begun",
    ],
}  # fmt: skip
# The second order has a point that is reached only with hosts that do not rename onto an existing file.
RENAMING = dict(zip(ORDERS, (FTPHandler.ftp_RNTO, refuse_to_overwrite), strict=True))


@contextmanager
def halting(context: Context, points: Sequence[str]) -> Iterator[Process]:
    attempts = str(len(points) + 2)
    settings = {"CRASH_POINT": stop_points(points), "ATTEMPT_LIMIT": attempts, "SWEEP_INTERVAL": "3600"}
    with worker(context, concurrency=int(attempts), **settings) as started:
        yield started


@pytest.mark.slow  # tests/integration/exports/test_stale_attempts.py has such attempts in one process
@pytest.mark.parametrize("order", ORDERS)
def test_attempt_that_was_taken_over_changes_nothing(context: Context, tmp_path: Path, order: str):
    points, host = ORDERS[order], tmp_path / "host"
    # After "marked ready" another process delivers the file to an FTP host.
    until_ready, by_host = points[: points.index(READY) + 1], [point for point in points if point != READY]
    logs = []
    with serving(host, ftp_RNTO=RENAMING[order]) as (port, _told):
        for settings, stops in ((settings_for(), until_ready), (by_ftp(port), by_host)):
            with halting(context, stops) as started:
                _all_wake_up_after_the_end(Halting(context, started, host, settings), len(stops))
                _each_wakes_up_while_the_next_one_works(Halting(context, started, host, settings), len(stops))
                logs.append(started.log)
    # A late attempt of export 3 has left a file. The same setting was locked by export 4, whose worker was just killed,
    # and a sweep leaves what is locked to the one that holds it.
    wait_until(lambda: advisory_locks(context) == [], "the last lock is gone")
    sweep(context)
    assert len(files(context.settings.storage_dir)) == 2, "those by FTP are not kept"
    require_all_done(context, [1, 2, 3, 4], delivered_to=host, logs=logs)


def _all_wake_up_after_the_end(export: Halting, stops: int) -> None:
    for _ in range(stops):
        export.next_attempt_stands_still()
        export.cut_off()
    export.end(stops + 1)
    before = (export.row(), export.delivered())
    for attempt in range(1, stops + 1):
        export.wake_outdated(attempt)
        assert (export.row(), export.delivered()) == before, attempt


def _each_wakes_up_while_the_next_one_works(export: Halting, stops: int) -> None:
    export.next_attempt_stands_still()
    for attempt in range(1, stops):
        export.cut_off()
        export.next_attempt_stands_still()
        before = export.row()
        export.wake_outdated(attempt)
        assert export.row() == before, attempt
    export.end(stops)


def test_late_attempt_costs_others_at_most_one_attempt(context: Context, tmp_path: Path):
    """It names its file just before the next attempt does, and it ends when the same setting runs again."""
    points = ["file may appear", "file may appear", "marked done"]
    with halting(context, points) as started:
        export = Halting(context, started, tmp_path / "host", settings_for())
        export.next_attempt_stands_still()
        export.cut_off()
        export.next_attempt_stands_still()
        export.wake_outdated(1)
        assert export.delivered() is not None  # although the row is still in progress
        export.wake_outdated(2)
        export.next_attempt_stands_still()
        assert export.row()["status"] == "done"
        with pytest.raises(ExportAlreadyRunning):
            request(context, export.settings)
        export.cut_off()
        anew = Halting(context, started, tmp_path / "host", export.settings)
        anew.next_attempt_stands_still()
        export.wake(3)
        wait_until(lambda: started.said(f'"event": "export done", "export": {export.id},'), "it has ended")
        anew.end(1)
    require_all_done(context, [1, 2])
