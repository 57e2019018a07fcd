"""A worker is killed while it delivers by FTP: one complete file arrives, and never a part under its name."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import ftp_hosts
import pytest
from exporting import by_ftp, request, row_of
from ftp_hosts import files, large_export, many_changed, serving
from invariants import require_all_done, wait_until_final
from processes import worker
from pyftpdlib.handlers import FTPHandler
from served import wait_until

from contactexport.backend import Backend


class NotesWhatIsNamed(FTPHandler):
    """Keeps the checksum of each file at the moment it gets its name."""

    named: list[str]

    def ftp_RNTO(self, path: str) -> Any:
        renamed = super().ftp_RNTO(path)
        if renamed is not None and not path.endswith(".part"):  # what is only moved aside gets no name
            self.named.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
        return renamed


class NeverReplacesAFile(NotesWhatIsNamed):
    def ftp_RNTO(self, path: str) -> Any:
        if Path(path).exists():
            return self.respond("553 File exists.")
        return super().ftp_RNTO(path)


# How often a file gets its name when the first attempt is killed there.
NAMED = {"file uploaded": 1, "upload renamed": 2}


@pytest.mark.parametrize("point", NAMED)
def test_a_delivery_outlives_the_process_that_works_on_it(backend: Backend, tmp_path: Path, point: str):
    many_changed(backend)
    inbox, named = tmp_path / "inbox", {"one": [], "another": []}
    inbox.mkdir()
    with (
        serving(inbox / "one", NotesWhatIsNamed, named=named["one"]) as (port, _told),
        serving(inbox / "another", NeverReplacesAFile, named=named["another"]) as (another_port, _told),
        worker(backend, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL") as killed,
    ):
        ids = [request(backend, by_ftp(port)), request(backend, by_ftp(another_port))]
        for export_id, checksums in zip(ids, named.values(), strict=True):
            row = wait_until_final(backend, export_id)
            assert (row["attempt"], row["run_attempts"]) == (2, 1)
            assert checksums == [row["sha256"]] * NAMED[point]
        wait_until(lambda: killed.deaths() == 2, "the worker has seen both die")
        wait_until(lambda: files(backend.settings.storage_dir) == [], "what was delivered is gone")
        require_all_done(backend, ids, delivered_to=inbox, logs=[killed.log])


def test_what_a_killed_upload_has_left_at_the_host_is_removed(backend: Backend, tmp_path: Path):
    inbox = tmp_path / "inbox"
    events = {"stopped": threading.Event(), "released": threading.Event()}
    with (
        serving(inbox, dtp_handler=ftp_hosts.StopsInTheMiddle, **events) as (port, _told),
        worker(backend) as killed,
    ):
        export_id = large_export(backend, port)
        assert events["stopped"].wait(60)
        name = row_of(backend, export_id)["file_name"]
        assert files(inbox) == [f"in/{name}.1.part"]
        killed.children()[0].kill()
        try:
            assert wait_until_final(backend, export_id)["attempt"] == 2
        finally:
            events["released"].set()
        wait_until(lambda: files(inbox) == [f"in/{name}"], "nothing else is left")
        wait_until(lambda: files(backend.settings.storage_dir) == [], "what was delivered is gone")
        require_all_done(backend, [export_id], delivered_to=inbox, logs=[killed.log])
