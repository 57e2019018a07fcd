"""Connections that are cut during an upload. The file is complete under its name, or not there."""

import os
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from contactexport.delivery.ftp import FtpDelivery
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import FtpTarget
from tests.support import certificates
from tests.support.exporting import PASSWORD
from tests.support.raw_ftp_host import RawHost, cut

SMALL, LARGE = 50_000, 20_000_000
REFUSED = "550 Not told"


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> Path:
    return certificates.self_signed(tmp_path_factory.mktemp("tls") / "host.pem")


def deliver(folder: Path, host: RawHost, size: int, pem: Path | None) -> bytes:
    file = folder / "x.csv"
    file.write_bytes(os.urandom(size))
    target = FtpTarget("127.0.0.1", host.port, "user", tls=pem is not None)
    delivery = FtpDelivery(target, "127.0.0.1", PASSWORD, timeout=3, ca_file=pem)
    with file.open("rb") as content:
        delivery.deliver(SimpleNamespace(file_name="x.csv", attempt=1, bytes=size), content)
    return file.read_bytes()


class CutsTheData(RawHost):
    """Gets a part of a file, is cut off, and takes the part for the whole."""

    def __init__(self, pem: Path, most: int, *, reset: bool, tells: bool) -> None:
        super().__init__(pem)
        self.most, self.reset, self.tells = most, reset, tells

    def take(self, name: str, data: socket.socket, control: socket.socket) -> str:
        self.read_all(name, data, self.most)
        cut(data, reset=self.reset)
        return "226 Complete"

    def size(self, name: str) -> str:
        return super().size(name) if self.tells else REFUSED


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_upload_cut_before_end_of_tls_is_not_renamed(tmp_path: Path, pem: Path, size: int, reset: bool, tells: bool):
    with CutsTheData(pem, size // 2, reset=reset, tells=tells) as host:
        with pytest.raises(DeliveryFailed) as failed:
            deliver(tmp_path, host, size, pem)
        assert "RNTO" not in host.told
        assert host.files == {}
    assert not failed.value.permanent


@pytest.mark.parametrize("reset", [True, False])
def test_host_that_never_ends_tls_is_trusted_if_size_is_right(tmp_path: Path, pem: Path, reset: bool):
    with CutsTheData(pem, SMALL, reset=reset, tells=True) as host:
        assert host.files == {"x.csv": deliver(tmp_path, host, SMALL, pem)}


def test_host_that_never_ends_tls_is_not_trusted_without_size(tmp_path: Path, pem: Path):
    with CutsTheData(pem, SMALL, reset=False, tells=False) as host:
        with pytest.raises(DeliveryFailed, match="was cut before its end") as failed:
            deliver(tmp_path, host, SMALL, pem)
        assert ("RNTO" in host.told, host.files) == (False, {})
    assert not failed.value.permanent


class LosesTheControl(RawHost):
    """The control connection dies during an upload that then completes."""

    def __init__(self, pem: Path | None, *, reset: bool, seconds: float) -> None:
        super().__init__(pem)
        self.reset, self.seconds = reset, seconds
        self.has_all = threading.Event()

    def take(self, name: str, data: socket.socket, control: socket.socket) -> None:
        self.read_all(name, data, SMALL)
        cut(control, reset=self.reset)
        time.sleep(self.seconds)
        self.read_all(name, data)
        self.end_data(data)
        self.has_all.set()

    def size(self, name: str) -> str:
        self.has_all.wait(2)  # on a busy machine it may still read
        return super().size(name)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("reset", [True, False])
def test_file_is_checked_and_renamed_after_control_connection_died(tmp_path: Path, pem: Path, tls: bool, reset: bool):
    with LosesTheControl(used := pem if tls else None, reset=reset, seconds=0.2) as host:
        sent = deliver(tmp_path, host, LARGE, used)
        assert (host.told.count("STOR"), host.told.count("USER"), host.told.count("SIZE")) == (1, 2, 1)
        assert host.files == {"x.csv": sent}


class TakesTheRestSlowly(LosesTheControl):
    """Still reads its own buffers when it gets the next command."""

    def take(self, name: str, data: socket.socket, control: socket.socket) -> None:
        self.has_all.set()  # so it says
        cut(control, reset=True)
        taken = self.files.setdefault(name, bytearray())
        for _ in range(10):
            taken += data.recv(SMALL // 10, socket.MSG_WAITALL)
            time.sleep(0.15)
        data.close()


def test_upload_waits_for_file_that_still_grows(tmp_path: Path):
    with TakesTheRestSlowly(None, reset=True, seconds=0) as host:
        sent = deliver(tmp_path, host, SMALL, None)
        assert (host.told.count("STOR"), host.told.count("USER")) == (1, 2)
        assert host.files == {"x.csv": sent}
