"""A worker that is killed, at any point of an export: the export is resumed, and exactly one complete file arrives."""

from pathlib import Path

import brokers
import pytest
from exporting import by_ftp, request, row_of, settings_for
from ftp_hosts import files, many_changed, serving
from invariants import require_all_done, wait_until_final
from processes import worker
from served import wait_until

from contactexport.backend import Backend

# How many attempts an export takes whose first one is killed there.
ATTEMPTS = {
    "export claimed": 2,
    "rows half written": 2,
    "file written": 2,
    "file named": 2,
    "marked ready": 2,
    "marked done": 1,
}


@pytest.mark.parametrize("point", ATTEMPTS)
def test_an_export_outlives_the_process_that_works_on_it(backend: Backend, tmp_path: Path, point: str):
    many_changed(backend)
    inbox = tmp_path / "inbox"
    with serving(inbox) as (port, _told), worker(backend, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL") as killed:
        ids = [request(backend, settings_for()), request(backend, by_ftp(port))]
        rows = [wait_until_final(backend, export_id) for export_id in ids]
        # Whoever has marked a file ready for an FTP host is through: another process delivers it in the same attempt.
        by_host = 1 if point == "marked ready" else ATTEMPTS[point]
        assert [row["attempt"] for row in rows] == [ATTEMPTS[point], by_host]
        wait_until(lambda: killed.deaths() == 2, "the worker has seen both die")
        require_all_done(backend, ids, delivered_to=inbox, logs=[killed.log])
        wait_until(lambda: files(backend.settings.storage_dir) == [rows[0]["file_name"]], "what was delivered is gone")


@pytest.mark.parametrize("broker", [brokers.FOLDERS, *brokers.URLS])
def test_kill_9_in_the_middle_of_copy(backend: Backend, broker: str):
    """Of a process of the pool, and then of the worker, with which its pool dies."""
    many_changed(backend)
    with (
        brokers.behind(broker, backend) as remote,
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


def attempts(backend: Backend, ids: list[int], status: str) -> list[int]:
    """How many attempts each export with that status has taken."""
    rows = [row_of(backend, export_id) for export_id in ids]
    return sorted(row["attempt"] for row in rows if row["status"] == status)
