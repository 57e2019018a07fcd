"""A worker is killed during a delivery: the file arrives once, or twice if the host does not show what it has."""

import hashlib
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyftpdlib.handlers import FTPHandler

from contactexport.context import Context
from tests.support import ftp_hosts
from tests.support.exporting import by_ftp, execute, request
from tests.support.ftp_hosts import RenamesNothing, files, many_changed, serving
from tests.support.invariants import wait_until_final
from tests.support.processes import worker
from tests.support.served import wait_until


class Archives(FTPHandler):
    """A host that takes files away at once."""

    archive: Path

    def on_file_received(self, file: str) -> None:
        shutil.move(file, self.archive / Path(file).name)


def known(context: Context, port: int, trait: str) -> None:
    execute(
        context,
        "INSERT INTO ftp_host_trait (host, port, username, trait, told, temporary_name)"
        " VALUES ('127.0.0.1', %s, 'user', %s, 'as it was', '%%s.part')",
        (port, trait),
    )


# The crash point of the first attempt, the host, its known trait, and the names of the files it has in the end.
KILLED = [
    ("file uploaded", "refuses late", None, ["{}"]),
    ("file uploaded", "renames nothing", "no_rename", ["{}"]),
    ("rename refused", "renames nothing", None, ["{}"]),
    ("upload renamed", "renames nothing", None, ["{}"]),
    # The host has the file and does not show it.
    ("file uploaded", "archives", None, ["{}.1.part", "{}.2.part"]),
    ("upload renamed", "archives", None, ["{}", "{}.1.part"]),
    ("file uploaded", "archives", "archives", ["{}"]),
]


@pytest.mark.parametrize("point", ["file uploaded", "rename refused", "upload renamed"])
def test_upload_survives_the_death_of_its_process_with_every_kind_of_host(context: Context, tmp_path: Path, point: str):
    many_changed(context)
    cases = [case for case in KILLED if case[0] == point]
    folders = [tmp_path / str(number) for number in range(len(cases))]
    with ExitStack() as running:
        ids = []
        for (_point, ways, trait, _names), folder in zip(cases, folders, strict=True):
            archive = folder.with_suffix(".archive")
            archive.mkdir()
            host = {
                "refuses late": (ftp_hosts.AnswersTheTransfer, {"verdict": "426 Aborted."}),
                "renames nothing": (RenamesNothing, {}),
                "archives": (Archives, {"archive": archive}),
            }[ways]
            port, _told = running.enter_context(serving(folder, host[0], **host[1]))
            if trait:
                known(context, port, trait)
            ids.append(request(context, by_ftp(port, None)))
        killed = running.enter_context(worker(context, concurrency=2, CRASH_POINT=f"{point}:1:SIGKILL"))
        rows = [wait_until_final(context, export_id) for export_id in ids]
        wait_until(lambda: killed.deaths() == len(ids), "the worker has seen all of them die")
    for row, (_point, _ways, _trait, names), folder in zip(rows, cases, folders, strict=True):
        assert (row["status"], row["attempt"], row["error"]) == ("done", 2, None)
        arrived = [folder / name for name in files(folder)]
        arrived += [folder.with_suffix(".archive") / name for name in files(folder.with_suffix(".archive"))]
        assert sorted(file.name for file in arrived) == [name.format(row["file_name"]) for name in names]
        assert {hashlib.sha256(file.read_bytes()).hexdigest() for file in arrived} == {row["sha256"]}
