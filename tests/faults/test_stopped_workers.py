"""A worker that stood still (SIGSTOP), was thought dead and taken over, and then goes on: it does no harm any more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from exporting import by_ftp, request, settings_for
from ftp_hosts import files, refuse_to_overwrite, serving
from invariants import require_all_done
from processes import Process, worker
from pyftpdlib.handlers import FTPHandler
from served import wait_until
from stopped import Halting, stop_points

from contactexport.backend import Backend
from contactexport.errors import ExportAlreadyRunning
from contactexport.services.sweep_exports import sweep

# At each of them an attempt is on its way to a write. Those behind READY are for deliveries by FTP.
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
# The second order comes to a point that only those hosts know which do not rename onto a file that exists.
RENAMING = dict(zip(ORDERS, (FTPHandler.ftp_RNTO, refuse_to_overwrite), strict=True))


@contextmanager
def halting(backend: Backend, points: Sequence[str]) -> Iterator[Process]:
    attempts = str(len(points) + 2)
    settings = {"CRASH_POINT": stop_points(points), "ATTEMPT_LIMIT": attempts, "SWEEP_INTERVAL": "3600"}
    with worker(backend, concurrency=int(attempts), **settings) as started:
        yield started


@pytest.mark.parametrize("order", ORDERS)
def test_whoever_was_taken_over_changes_nothing_any_more(backend: Backend, tmp_path: Path, order: str):
    points, host = ORDERS[order], tmp_path / "host"
    # Whoever has marked a file ready for an FTP host is through: another process delivers it.
    until_ready, by_host = points[: points.index(READY) + 1], [point for point in points if point != READY]
    logs = []
    with serving(host, ftp_RNTO=RENAMING[order]) as (port, _told):
        for settings, stops in ((settings_for(), until_ready), (by_ftp(port), by_host)):
            with halting(backend, stops) as started:
                _all_wake_up_after_the_end(Halting(backend, started, host, settings), len(stops))
                _each_wakes_up_while_the_next_one_works(Halting(backend, started, host, settings), len(stops))
                logs.append(started.log)
    sweep(backend)
    require_all_done(backend, [1, 2, 3, 4], delivered_to=host, logs=logs)
    assert len(files(backend.settings.storage_dir)) == 2, "those by FTP are not kept"


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


def test_one_that_wakes_up_late_costs_others_an_attempt_at_most(backend: Backend, tmp_path: Path):
    """It may name its file when the next one is about to, and may end when the setting runs anew."""
    points = ["file may appear", "file may appear", "marked done"]
    with halting(backend, points) as started:
        export = Halting(backend, started, tmp_path / "host", settings_for())
        export.next_attempt_stands_still()
        export.cut_off()
        export.next_attempt_stands_still()
        export.wake_outdated(1)
        assert export.delivered() is not None  # not what is in the row, which is still in progress
        export.wake_outdated(2)
        export.next_attempt_stands_still()
        assert export.row()["status"] == "done"
        with pytest.raises(ExportAlreadyRunning):
            request(backend, export.settings)
        export.cut_off()
        anew = Halting(backend, started, tmp_path / "host", export.settings)
        anew.next_attempt_stands_still()
        export.wake(3)
        wait_until(lambda: started.said(f'"event": "export done", "export": {export.id},'), "it has ended")
        anew.end(1)
    require_all_done(backend, [1, 2])
