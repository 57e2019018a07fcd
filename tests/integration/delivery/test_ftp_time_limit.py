"""A host that always sends a little and never finishes does not block a worker for ever."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler

from contactexport.context import Context
from contactexport.delivery import time_limit
from contactexport.delivery.ftp import FtpDelivery
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import FtpTarget
from tests.support import certificates
from tests.support.exporting import (
    PASSWORD,
    add_contact,
    around_now,
    context_with,
    request,
    row_of,
    run,
    seconds_until_due,
    settings_for,
)
from tests.support.ftp_hosts import files, free_port, serving

DRIP_SECONDS = 0.1
DRAIN_SECONDS = 0.05
FILE_BYTES = 20_000_000


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def drip(connection: socket.socket, line: bytes) -> None:
    """Sends until the other side closes the connection."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(line)
            threading.Event().wait(DRIP_SECONDS)


@contextmanager
def greeting_without_end() -> Iterator[int]:
    """A host whose greeting never ends. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                drip(connection, b"220-hello\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def requested(context: Context, port: int) -> int:
    add_contact(context)
    target = FtpTarget("127.0.0.1", port, "user")
    return request(context, settings_for(distribution_method="ftp", ftp=target, **around_now()))


def test_endless_greeting_is_given_up_and_retried(context: Context):
    impatient = context_with(context, ftp_timeout=0.5)
    with greeting_without_end() as port:
        export_id = requested(impatient, port)
        run(impatient, export_id)
    row = row_of(context, export_id)
    assert (row["status"], row["error"], row["permanent_failures"]) == ("ready", "FTP host: timed out", 0)
    assert 50 < seconds_until_due(context, export_id) <= 60


class TakesItsTime(DTPHandler):
    """Reads every block well within the timeout, but the file more slowly than a slow line."""

    def handle_read(self) -> None:
        threading.Event().wait(DRAIN_SECONDS)
        super().handle_read()

    handle_read_event = handle_read


@pytest.mark.slow  # the time limit is nine seconds at least
def test_file_read_too_slowly_is_given_up_and_removed(tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time_limit, "SLOWEST_BYTES_PER_SECOND", FILE_BYTES)  # in one second
    file = tmp_path / "x.csv"
    file.write_bytes(bytes(FILE_BYTES))
    with serving(inbox, dtp_handler=TakesItsTime) as (port, told):
        delivery = FtpDelivery(FtpTarget("127.0.0.1", port, "user"), "127.0.0.1", PASSWORD, timeout=1)
        with (
            file.open("rb") as content,
            pytest.raises(DeliveryFailed, match=r"^FTP host: took longer than 9 s$") as failed,
        ):
            delivery.deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=FILE_BYTES), content)
        assert files(inbox) == []
    assert not failed.value.permanent
    assert "STOR" in told


TIMEOUT = 2.0
# A silent host costs the timeout once, and a part of it for its reason and for the removal.
MAX_SECONDS = 2.5 * TIMEOUT


def seconds_until_given_up(folder: Path, port: int, size: int, ca_file: Path | None = None) -> float:
    file = folder / "x.csv"
    file.write_bytes(bytes(size))
    target = FtpTarget("127.0.0.1", port, "user", tls=ca_file is not None)
    delivery = FtpDelivery(target, "127.0.0.1", PASSWORD, timeout=TIMEOUT, ca_file=ca_file)
    began = time.monotonic()
    with file.open("rb") as content, pytest.raises(DeliveryFailed, match=r"timed out$") as failed:
        delivery.deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=size), content)
    assert not failed.value.permanent
    return time.monotonic() - began


def reading_only(most: int, base: type[DTPHandler]) -> type[DTPHandler]:
    """Reads this many bytes and then stops."""

    class ReadsOnly(base):
        def readable(self) -> bool:
            return self.tot_bytes_received <= most and super().readable()

        def handle_read(self) -> None:
            if self.tot_bytes_received <= most:
                super().handle_read()
            else:  # it is asked again and again
                time.sleep(0.01)

        handle_read_event = handle_read

    return ReadsOnly


@pytest.mark.parametrize(
    ("size", "most"),
    [
        (1_000, 0),
        (FILE_BYTES, 0),
        (3_000_000, 100_000),
        pytest.param(3_000_000, 0, marks=pytest.mark.slow),
        pytest.param(FILE_BYTES, 100_000, marks=pytest.mark.slow),
    ],
)
def test_host_that_stops_reading_costs_about_one_timeout(tmp_path: Path, inbox: Path, size: int, most: int):
    with serving(inbox, dtp_handler=reading_only(most - 1, DTPHandler)) as (port, _told):
        assert seconds_until_given_up(tmp_path, port, size) < MAX_SECONDS
        assert files(inbox) == []


@pytest.mark.parametrize("size", [pytest.param(300_000, marks=pytest.mark.slow), FILE_BYTES])
def test_host_that_stops_reading_tls_costs_about_one_timeout(tmp_path: Path, inbox: Path, size: int):
    pem = certificates.self_signed(tmp_path / "host.pem")
    reads = reading_only(100_000, TLS_DTPHandler)
    with serving(inbox, TLS_FTPHandler, certfile=str(pem), ssl_context=None, dtp_handler=reads) as (port, _told):
        assert seconds_until_given_up(tmp_path, port, size, pem) < MAX_SECONDS
        assert files(inbox) == []


def wait_for(port: int) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the host does not answer")


def test_stopped_host_costs_about_one_timeout(tmp_path: Path, inbox: Path):
    inbox.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "tests.soak.ftp_host", str(inbox), str(port)]
    host = subprocess.Popen(command, env=os.environ | {"FTP_PASSWORD": PASSWORD})

    def stop_in_the_middle() -> None:
        while not (files(inbox) and (inbox / files(inbox)[0]).stat().st_size > 100_000):
            time.sleep(0.01)
        host.send_signal(signal.SIGSTOP)
        stopped.append(time.monotonic())

    stopped: list[float] = []
    stopping = threading.Thread(target=stop_in_the_middle, daemon=True)
    try:
        wait_for(port)
        stopping.start()
        seconds_until_given_up(tmp_path, port, FILE_BYTES)
        assert time.monotonic() - stopped[0] < MAX_SECONDS
    finally:
        host.kill()
        host.wait()


class IsNeverDoneAnyMore(FTPHandler):
    """Gets the file, and then replies with endless lines, also on every later connection."""

    drips = False

    def ftp_USER(self, line: str) -> None:
        if self.drips:
            drip(self.socket, b"331-hello\r\n")
        else:
            super().ftp_USER(line)

    def ftp_SIZE(self, path: str) -> None:
        type(self).drips = True
        drip(self.socket, b"213-hello\r\n")


def test_removal_of_part_has_time_limit(context: Context, inbox: Path):
    impatient = context_with(context, ftp_timeout=0.2)
    with serving(inbox, IsNeverDoneAnyMore) as (port, told):
        waiting = run(impatient, requested(impatient, port))
    assert (waiting.status, waiting.error) == ("ready", "FTP host: timed out")
    assert "SIZE" in told


@pytest.mark.parametrize(
    "size,seconds",
    [(0, 240), (12_000_000, 1240)],
)
def test_line_of_16_kb_per_second_is_fast_enough(size: int, seconds: float):
    assert time_limit.delivery_seconds(30, size) == seconds > size / 16_000
