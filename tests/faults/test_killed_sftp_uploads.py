"""A worker is killed during a delivery by SFTP to OpenSSH: the file arrives once."""

import gzip
import hashlib
from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support.exporting import request
from tests.support.ftp_hosts import files, many_changed
from tests.support.invariants import wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until
from tests.support.ssh_hosts import openssh

POINTS = ["file encoded", "upload begun", "file uploaded", "rename begun", "upload renamed"]


def killed_at(context: Context, folder: Path, points: list[str]) -> None:
    many_changed(context)
    with openssh(folder) as host:
        for number, point in enumerate(points):
            settings = host.settings(f"in{number}", compression="gzip")
            export_id = request(context, settings, host.credentials.to_text())
            with worker(context, CRASH_POINT=f"{point}:1:SIGKILL") as killed:
                row = wait_until_final(context, export_id)
                wait_until(lambda: killed.deaths() == 1, "the worker has seen it die")
            assert (row["status"], row["attempt"], row["error"]) == ("done", 2, None)
            inbox = folder / "inbox" / f"in{number}"
            assert files(inbox) == [f"{row['file_name']}.gz"]
            plain = gzip.decompress((inbox / f"{row['file_name']}.gz").read_bytes())
            assert hashlib.sha256(plain).hexdigest() == row["sha256"]
    assert not list(context.settings.data_dir.glob("tmp*"))


def test_upload_survives_the_death_of_its_process(context: Context, tmp_path: Path):
    killed_at(context, tmp_path / "ssh", ["file uploaded"])


@pytest.mark.slow  # one moment is in `make test`
def test_upload_survives_its_death_at_every_moment(context: Context, tmp_path: Path):
    killed_at(context, tmp_path / "ssh", POINTS)
