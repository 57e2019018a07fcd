"""FTP hosts with the faults of real ones (pyftpdlib), and exports for them."""

import dataclasses
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import ThreadedFTPServer

from contactexport.context import Context
from contactexport.exports.models import Export, FtpTarget
from contactexport.files.storage import MARKER
from tests.support.exporting import PASSWORD, execute, make_due, request, settings_for

ROWS = 3000
ROW_BYTES = 1000


@contextmanager
def serving(
    folder: Path,
    handler: type[FTPHandler] = FTPHandler,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    perm: str = "elradfmwMT",
    **attributes: Any,
) -> Iterator[tuple[int, list[str]]]:
    """A host with the faults of a handler. Yields its port and the list of the commands that it receives."""
    folder.mkdir(exist_ok=True)
    told: list[str] = []

    class Handler(handler):
        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            told.append(cmd)
            super().pre_process_command(line, cmd, arg)

    for name, value in {"auth_failed_timeout": 0, **attributes}.items():
        setattr(Handler, name, value)
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_user("user", PASSWORD, str(folder), perm=perm)
    server = ThreadedFTPServer((address, port), Handler, ioloop=IOLoop())
    server._lock, server._exit = threading.Lock(), threading.Event()  # otherwise all hosts would share one loop
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.02, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.address[1], told
    finally:
        ended.set()
        thread.join()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != MARKER)


def large_export(context: Context, port: int, host: str = "127.0.0.1", **target: Any) -> int:
    """Requests an export by FTP of a few megabytes, more than any buffer on the way holds."""
    many_changed(context)
    ftp = FtpTarget(**{"host": host, "port": port, "username": "user", "folder": "in"} | target)
    return request(context, settings_for(distribution_method="ftp", ftp=ftp))


def many_changed(context: Context) -> None:
    """Adds contacts for a file of a few megabytes."""
    execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id, first_name)"
        " SELECT 'form', 123, repeat('x', %s) FROM generate_series(1, %s)",
        (ROW_BYTES, ROWS),
    )
    execute(context, "UPDATE contact_change SET changed_at = '2012-03-01'")


def host_is_back(context: Context, export: Export, port: int) -> None:
    """Makes the export due, with its host on another port, where it answers."""
    target = dataclasses.asdict(dataclasses.replace(export.settings.ftp, port=port))
    execute(context, "UPDATE export SET settings = settings || %s::jsonb", (json.dumps({"ftp": target}),))
    make_due(context, export.id)


def is_whole(file: Path, export: Export) -> bool:
    return export.rows == ROWS and hashlib.sha256(file.read_bytes()).hexdigest() == export.sha256


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TakesOnlySomeBytes(DTPHandler):
    """Ends the connection in the middle of a file."""

    def handle_read(self) -> None:
        super().handle_read()
        if self.tot_bytes_received > 100_000:
            self.break_off()

    handle_read_event = handle_read

    def break_off(self) -> None:
        self.close()


class DropsTheData(TakesOnlySomeBytes):
    def break_off(self) -> None:
        self._resp = ("426 Connection closed; transfer aborted.", self.log)
        self.close()


class DiskIsFull(TakesOnlySomeBytes):
    def break_off(self) -> None:
        self._resp = ("452 No space left on device.", self.log)
        self.close()


class DropsTheControl(TakesOnlySomeBytes):
    def break_off(self) -> None:
        self.cmd_channel.close()


class StopsInTheMiddle(DTPHandler):
    """Takes some bytes of the first upload, then nothing more until `released`. The host has these two events."""

    def handle_read(self) -> None:
        super().handle_read()
        if self.tot_bytes_received > 100_000 and not self.cmd_channel.stopped.is_set():
            self.cmd_channel.stopped.set()
            assert self.cmd_channel.released.wait(120)

    handle_read_event = handle_read


class LosesTheEnd(DTPHandler):
    """Loses a part of the file without an error."""

    def handle_read(self) -> None:
        super().handle_read()
        if self.file_obj is not None and not self.file_obj.closed:
            self.file_obj.truncate(1000)

    handle_read_event = handle_read


class Swallows226(FTPHandler):
    """Has received a file, but does not say so."""

    def respond(self, resp: str, **kwargs: Any) -> None:
        if not resp.startswith("226"):
            super().respond(resp, **kwargs)


class HangsUpInsteadOf226(FTPHandler):
    def respond(self, resp: str, **kwargs: Any) -> None:
        if resp.startswith("226"):
            self.close()
        else:
            super().respond(resp, **kwargs)


class HangsUpAfterRenaming(FTPHandler):
    def ftp_RNTO(self, path: str) -> None:
        self.fs.rename(self._rnfr, path)
        self.close()


class AnswersTheTransfer(FTPHandler):
    """Receives the whole file and then refuses it."""

    verdict = "552 Quota exceeded."

    def respond(self, resp: str, **kwargs: Any) -> None:
        super().respond(self.verdict if resp.startswith("226") else resp, **kwargs)


def refuse_to_overwrite(handler: FTPHandler, path: str) -> None:
    if handler.fs.lexists(path):
        handler.respond("550 File exists.")
    else:
        FTPHandler.ftp_RNTO(handler, path)


class RenamesNothing(FTPHandler):
    def ftp_RNFR(self, path: str) -> None:
        self.respond("550 Permission denied.")


class RefusesUploads(FTPHandler):
    answer = ""

    def ftp_STOR(self, file: str, mode: str = "w") -> None:
        self.respond(self.answer)
