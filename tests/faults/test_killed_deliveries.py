"""A worker is killed during a delivery by FTP: one complete file arrives, and never a part of it under its name."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from pyftpdlib.handlers import FTPHandler

from contactexport.context import Context
from tests.support import ftp_hosts
from tests.support.exporting import by_ftp, request, row_of
from tests.support.ftp_hosts import files, large_export, many_changed, serving
from tests.support.invariants import require_all_done, wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until


class NotesWhatIsNamed(FTPHandler):
    """Stores the checksum of each file when the file gets its name."""

    named: list[str]

    def ftp_RNTO(self, path: str) -> Any:
        renamed = super().ftp_RNTO(path)
        if renamed is not None and not path.endswith(".part"):  # a file that is only moved aside does not count
            self.named.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
        return renamed


class NeverReplacesAFile(NotesWhatIsNamed):
    def ftp_RNTO(self, path: str) -> Any:
        if Path(path).exists():
            return self.respond("553 File exists.")
        return super().ftp_RNTO(path)


# How often a file gets its name when the first attempt is killed at that crash point.
NAMED = {"file uploaded": 1, "upload renamed": 2}


@pytest.mark.parametrize("point", NAMED)
def test_delivery_survives_the_death_of_its_process(context: Context, tmp_path: Path, point: str):
    many_changed(context)
    inbox, named = tmp_path / "inbox", {"one": [], "another": []}
    inbox.mkdir()
    with (
        serving(inbox / "one", NotesWhatIsNamed, named=named["one"]) as (port, _told),
        serving(inbox / "another", NeverReplacesAFile, named=named["another"]) as (another_port, _told),
        worker(context, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL") as killed,
    ):
        ids = [request(context, by_ftp(port)), request(context, by_ftp(another_port))]
        for export_id, checksums in zip(ids, named.values(), strict=True):
            row = wait_until_final(context, export_id)
            assert (row["attempt"], row["run_attempts"]) == (2, 1)
            assert checksums == [row["sha256"]] * NAMED[point]
        wait_until(lambda: killed.deaths() == 2, "the worker has seen both die")
        wait_until(lambda: files(context.settings.storage_dir) == [], "what was delivered is gone")
        require_all_done(context, ids, delivered_to=inbox, logs=[killed.log])


def test_next_attempt_removes_temporary_file_of_killed_upload(context: Context, tmp_path: Path):
    inbox = tmp_path / "inbox"
    events = {"stopped": threading.Event(), "released": threading.Event()}
    with (
        serving(inbox, dtp_handler=ftp_hosts.StopsInTheMiddle, **events) as (port, _told),
        worker(context) as killed,
    ):
        export_id = large_export(context, port)
        assert events["stopped"].wait(60)
        name = row_of(context, export_id)["file_name"]
        assert files(inbox) == [f"in/{name}.1.part"]
        killed.children()[0].kill()
        try:
            assert wait_until_final(context, export_id)["attempt"] == 2
        finally:
            events["released"].set()
        wait_until(lambda: files(inbox) == [f"in/{name}"], "nothing else is left")
        wait_until(lambda: files(context.settings.storage_dir) == [], "what was delivered is gone")
        require_all_done(context, [export_id], delivered_to=inbox, logs=[killed.log])
