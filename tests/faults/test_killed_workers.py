"""A worker is killed at any point of an export: the export is resumed, and exactly one complete file arrives."""

from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support import brokers
from tests.support.exporting import by_ftp, request, row_of, settings_for
from tests.support.ftp_hosts import files, many_changed, serving
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until

# How many attempts an export needs whose first one is killed at that crash point.
ATTEMPTS = {
    "export claimed": 2,
    "rows half written": 2,
    "file written": 2,
    "file named": 2,
    "marked ready": 2,
    "marked done": 1,
}
# Before, between and after the writes of the states.
QUICKLY = {"rows half written", "file named", "marked ready"}


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in QUICKLY else pytest.mark.slow) for point in ATTEMPTS]
)
def test_export_survives_the_death_of_its_process(context: Context, tmp_path: Path, point: str):
    many_changed(context)
    inbox = tmp_path / "inbox"
    with serving(inbox) as (port, _told), worker(context, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL") as killed:
        ids = [request(context, settings_for()), request(context, by_ftp(port))]
        rows = [wait_until_final(context, export_id) for export_id in ids]
        # After "marked ready" another process delivers the file to an FTP host, in the same attempt.
        by_host = 1 if point == "marked ready" else ATTEMPTS[point]
        assert [row["attempt"] for row in rows] == [ATTEMPTS[point], by_host]
        wait_until(lambda: killed.deaths() == 2, "the worker has seen both die")
        require_all_done(context, ids, delivered_to=inbox, logs=[killed.log])
        wait_until(lambda: files(context.settings.storage_dir) == [rows[0]["file_name"]], "what was delivered is gone")


@pytest.mark.parametrize("broker", brokers.OTHERS_SLOWLY)
def test_export_survives_kill_of_process_and_worker_in_the_middle_of_copy(context: Context, broker: str):
    """Kills a process of the pool, and then the worker. The pool dies with the worker."""
    many_changed(context)
    with (
        brokers.behind(broker, context) as remote,
        worker(remote, concurrency=2, CRASH_POINT="rows half written:1:SIGSTOP") as killed,
    ):
        ids = [request(remote, settings_for(language=language)) for language in ("en", "de")]
        wait_until(lambda: len(killed.stopped()) == 2, "both are in the middle of COPY")
        assert len(list(remote.settings.storage_dir.glob("*.1.part"))) == 2
        killed.stopped()[0].kill()
        wait_until(lambda: attempts(remote, ids, "done") == [2], "one is resumed by another process of the worker")
        assert attempts(remote, ids, "in progress") == [1]
        killed.kill()
        with worker(remote) as second:
            wait_until(lambda: attempts(remote, ids, "done") == [2, 2], "the other one is resumed by another worker")
            require_all_done(remote, ids, logs=[killed.log, second.log])


def attempts(context: Context, ids: list[int], status: str) -> list[int]:
    """The numbers of attempts of the exports with that status."""
    rows = [row_of(context, export_id) for export_id in ids]
    return sorted(row["attempt"] for row in rows if row["status"] == status)
