"""A host that is never silent for long, and never done, does not hold a worker for ever."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from exporting import (
    PASSWORD,
    add_contact,
    around_now,
    backend_with,
    request,
    row_of,
    run,
    seconds_until_due,
    settings_for,
)
from ftp_hosts import files, serving
from pyftpdlib.handlers import DTPHandler, FTPHandler

from contactexport.backend import Backend
from contactexport.delivery import ftp_time_limit
from contactexport.delivery.ftp import FtpDelivery
from contactexport.errors import DeliveryFailed
from contactexport.models import FtpTarget

DRIP_SECONDS = 0.1
DRAIN_SECONDS = 0.05
FILE_BYTES = 20_000_000


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def drip(connection: socket.socket, line: bytes) -> None:
    """Until the other side has had enough."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(line)
            threading.Event().wait(DRIP_SECONDS)


@contextmanager
def greeting_without_end() -> Iterator[int]:
    """A host whose greeting has always one more line; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                drip(connection, b"220-hello\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def requested(backend: Backend, port: int) -> int:
    add_contact(backend)
    target = FtpTarget("127.0.0.1", port, "user")
    return request(backend, settings_for(distribution_method="ftp", ftp=target, **around_now()))


def test_a_greeting_without_end_is_left_and_tried_again_later(backend: Backend):
    impatient = backend_with(backend, ftp_timeout=0.5)
    with greeting_without_end() as port:
        export_id = requested(impatient, port)
        run(impatient, export_id)
    row = row_of(backend, export_id)
    assert (row["status"], row["error"], row["permanent_failures"]) == ("ready", "FTP host: took longer than 4 s", 0)
    assert 50 < seconds_until_due(backend, export_id) <= 60


class TakesItsTime(DTPHandler):
    """Takes every block well within the timeout, and the file not in the time of a slow line."""

    def handle_read(self) -> None:
        threading.Event().wait(DRAIN_SECONDS)
        super().handle_read()

    handle_read_event = handle_read


def test_a_file_taken_too_slowly_is_left_and_removed(tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ftp_time_limit, "SLOWEST_BYTES_PER_SECOND", FILE_BYTES)  # in one second
    file = tmp_path / "x.csv"
    file.write_bytes(bytes(FILE_BYTES))
    with serving(inbox, dtp_handler=TakesItsTime) as (port, told):
        delivery = FtpDelivery(FtpTarget("127.0.0.1", port, "user"), "127.0.0.1", PASSWORD, timeout=0.5)
        with (
            file.open("rb") as content,
            pytest.raises(DeliveryFailed, match=r"^FTP host: took longer than 5 s$") as failed,
        ):
            delivery.deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=FILE_BYTES), content)
        assert files(inbox) == []
    assert not failed.value.permanent
    assert "STOR" in told


class IsNeverDoneAnyMore(FTPHandler):
    """Takes the file, and then says one more line for ever, to every later connection too."""

    drips = False

    def on_connect(self) -> None:
        if self.drips:
            drip(self.socket, b"220-hello\r\n")

    def ftp_SIZE(self, path: str) -> None:
        type(self).drips = True
        drip(self.socket, b"213-hello\r\n")


def test_the_removal_of_a_part_ends_too(backend: Backend, inbox: Path):
    impatient = backend_with(backend, ftp_timeout=0.2)
    with serving(inbox, IsNeverDoneAnyMore) as (port, told):
        waiting = run(impatient, requested(impatient, port))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: took longer than 2 s")
    assert "SIZE" in told


@pytest.mark.parametrize(
    "size,seconds",
    [(0, 240), (12_000_000, 1240)],
)
def test_a_line_of_16_kb_per_second_has_time_enough(size: int, seconds: float):
    assert ftp_time_limit.delivery_seconds(30, size) == seconds > size / 16_000
