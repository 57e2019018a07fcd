"""An upload stops and removes its part when the export is cancelled or taken over."""

import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler

from contactexport.context import Context
from contactexport.delivery.ftp import FtpDelivery
from contactexport.errors import DeliveryFailed, ExportLost
from contactexport.exports import cancel, run
from contactexport.exports.models import FtpTarget
from tests.support import certificates
from tests.support.exporting import PASSWORD, TESTER, execute, row_of
from tests.support.ftp_hosts import files, large_export, serving

PATIENT_SECONDS = 60.0  # whoever ends sooner was interrupted


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


class Upload:
    """A delivery in a thread."""

    def __init__(self, folder: Path, port: int, *, timeout: float = PATIENT_SECONDS, **settings) -> None:
        file = folder / "x.csv"
        file.write_bytes(bytes(20_000_000))
        self.export = SimpleNamespace(file_name="x.csv", attempt=1, bytes=20_000_000)
        target = FtpTarget("127.0.0.1", port, "user", tls=settings.get("ca_file") is not None)
        self.delivery = FtpDelivery(target, "127.0.0.1", PASSWORD, timeout=timeout, **settings)
        self.ended_by: BaseException | None = None
        self.thread = threading.Thread(target=self._deliver, args=(file,))
        self.thread.start()

    def _deliver(self, file: Path) -> None:
        try:
            with file.open("rb") as content:
                self.delivery.deliver(self.export, content)
        except (ExportLost, DeliveryFailed) as error:
            self.ended_by = error

    def abort(self) -> None:
        self.delivery.abort()
        self.thread.join(timeout=PATIENT_SECONDS / 3)
        assert not self.thread.is_alive()
        assert isinstance(self.ended_by, ExportLost)


def stalling(base: type[DTPHandler]) -> tuple[type[DTPHandler], threading.Event]:
    """Reads some bytes and then stops, so that the sender waits. Signals when it stops."""
    stalled = threading.Event()

    class Stalling(base):
        def handle_read(self) -> None:
            if self.tot_bytes_received < 100_000:
                super().handle_read()
            else:  # it is asked again and again
                stalled.set()
                time.sleep(0.01)

        handle_read_event = handle_read

        def readable(self) -> bool:
            return not stalled.is_set() and super().readable()

    return Stalling, stalled


def test_abort_ends_stalled_upload_and_removes_it(tmp_path: Path, inbox: Path):
    data_handler, stalled = stalling(DTPHandler)
    with serving(inbox, dtp_handler=data_handler) as (port, _told):
        upload = Upload(tmp_path, port)
        assert stalled.wait(PATIENT_SECONDS / 3)
        upload.abort()
        assert files(inbox) == []


def test_abort_ends_stalled_upload_over_tls(tmp_path: Path, inbox: Path):
    pem = certificates.self_signed(tmp_path / "host.pem")
    data_handler, stalled = stalling(TLS_DTPHandler)
    with serving(inbox, TLS_FTPHandler, certfile=str(pem), dtp_handler=data_handler) as (port, _told):
        upload = Upload(tmp_path, port, ca_file=pem)
        assert stalled.wait(PATIENT_SECONDS / 3)
        upload.abort()
        assert files(inbox) == []


def test_host_that_stops_reading_is_given_up_at_timeout(tmp_path: Path, inbox: Path):
    data_handler, stalled = stalling(DTPHandler)
    with serving(inbox, dtp_handler=data_handler) as (port, _told):
        upload = Upload(tmp_path, port, timeout=1.5)
        assert stalled.wait(PATIENT_SECONDS / 3)
        upload.thread.join(timeout=PATIENT_SECONDS / 3)
        assert isinstance(upload.ended_by, DeliveryFailed)
        assert upload.ended_by.text == "FTP host: timed out"
        assert files(inbox) == []


@pytest.mark.parametrize("greeting", [b"", b"220 ready\r\n"])
def test_abort_ends_wait_for_silent_host(tmp_path: Path, greeting: bytes):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        upload = Upload(tmp_path, silent.getsockname()[1])
        connection = silent.accept()[0]
        with connection:
            connection.sendall(greeting)
            if greeting:
                connection.recv(100)  # it asks for the user now, and waits
            upload.abort()


def test_abort_ends_wait_for_connection(tmp_path: Path):
    with closing(socket.socket()) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # the queue of connections is full: further ones are ignored
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        upload = Upload(tmp_path, full.getsockname()[1])
        threading.Event().wait(0.2)
        upload.abort()
        for one in waiting:
            one.close()


def test_delivery_aborted_before_start_does_not_start(tmp_path: Path, inbox: Path):
    with serving(inbox) as (port, told):
        target = FtpTarget("127.0.0.1", port, "user")
        delivery = FtpDelivery(target, "127.0.0.1", PASSWORD, timeout=1)
        delivery.abort()
        file = tmp_path / "x.csv"
        file.touch()
        with file.open("rb") as content, pytest.raises(ExportLost):
            delivery.deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=0), content)
    assert told == []


def test_cancelled_export_does_not_arrive(context: Context, inbox: Path):
    data_handler, stalled = stalling(DTPHandler)
    with serving(inbox, dtp_handler=data_handler) as (port, _told):
        export_id = large_export(context, port)
        execute(context, "UPDATE contact SET first_name = repeat('x', 9000)")
        execute(context, "UPDATE contact_change SET changed_at = '2012-03-01'")
        results = []
        worker = threading.Thread(target=lambda: results.append(run.run(context, export_id)))
        worker.start()
        assert stalled.wait(PATIENT_SECONDS / 3)
        cancel.cancel(context, export_id, TESTER)
        worker.join(timeout=4)  # less than the timeout of the connection
        assert results == [None]
        assert files(inbox) == []
    row = row_of(context, export_id)
    assert (row["status"], row["error"]) == ("error", "cancelled")


@pytest.mark.parametrize("outage", [False, True])
def test_file_that_must_not_appear_is_not_renamed(context: Context, inbox: Path, outage: bool):
    """The export is cancelled or the database is lost between the last byte and the rename."""

    class MeanwhileLost(FTPHandler):
        def ftp_SIZE(self, path: str) -> None:
            if outage:
                execute(
                    context,
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                )
            else:
                cancel.cancel(context, ids[0], TESTER)
            super().ftp_SIZE(path)

    with serving(inbox, MeanwhileLost) as (port, _told):
        ids = [large_export(context, port)]
        after = run.run(context, ids[0])
        assert after is None or (outage and after.status == "ready")
        assert files(inbox) == []
    assert row_of(context, ids[0])["status"] == ("ready" if outage else "error")
