"""Whatever an FTP host replies, the delivery ends soon and names the fault of the host in one line."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyftpdlib.handlers import FTPHandler

from contactexport.context import Context
from contactexport.delivery.ftp import FtpDelivery
from contactexport.delivery.host_traits import HostTraits
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import FtpTarget
from contactexport.hosts.guard import NetworkGuard
from tests.support.exporting import PASSWORD, context_with, run
from tests.support.ftp_hosts import files, large_export, serving

ODD = [
    "",
    " ",
    "x",
    "1",
    "2",
    "123",
    "227",
    "999 What?",
    "000 What?",
    "-1 What?",
    "2\xb2\xb3 \udcff",
    "220-no end\r\n",
    "220 " + "9" * 9000,
    "227 (999,999,999,999,999,999)",
    "229 (|||99999|)",
    "213 " + "9" * 30,
    "213 \u0661",
    "350 Go on\r\n350 Go on",
    "550",
    "421",
]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def says(reply: str) -> Callable[[FTPHandler, str], None]:
    return lambda handler, _line: FTPHandler.push(handler, f"{reply}\r\n")


def delivery(port: int, folder: str | None = "in") -> FtpDelivery:
    target = FtpTarget("127.0.0.1", port, "user", folder)
    guard = NetworkGuard(())
    return FtpDelivery(target, "127.0.0.1", PASSWORD, timeout=0.4, traits=HostTraits(), require_open=guard.resolve)


@pytest.mark.parametrize(
    "command", ["USER", "PASS", "CWD", "MKD", "TYPE", "PASV", "STOR", "SIZE", "RNFR", "RNTO", "QUIT"]
)
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_reply_is_never_internal_error(tmp_path: Path, inbox: Path, command: str, odd: str):
    file = tmp_path / "x.csv"
    file.write_bytes(b"x" * 1000)
    host = {f"ftp_{command}": says(odd), "encoding": "utf-8", "unicode_errors": "surrogateescape"}
    with serving(inbox, **host) as (port, _told):
        export = SimpleNamespace(file_name="x.csv", attempt=1, bytes=1000)
        with contextlib.suppress(DeliveryFailed), file.open("rb") as content:
            assert delivery(port).deliver(export, content)[:1] in {"2", "t"}
            assert "in/x.csv" in files(inbox) or command in {"CWD", "RNTO"}  # it says that it has done so


@pytest.mark.parametrize(
    "host,error",
    [
        (
            {"ftp_PASV": says("227 (999,999,999,999,999,999)")},
            "PASV cannot be understood: 227 (999,999,999,999,999,999)",
        ),
        (
            {"ftp_PASV": says("502 No."), "ftp_EPSV": says("229 (|||99999|)")},
            "EPSV cannot be understood: 229 (|||99999|)",
        ),
        ({"ftp_SIZE": says("213 many\x07\x1b[31m")}, "SIZE cannot be understood: 213 many??[31m"),
    ],
)
def test_malformed_reply_is_shown(context: Context, inbox: Path, host: dict, error: str):
    with serving(inbox, **host) as (port, _told):
        waiting = run(context, large_export(context, port))
    assert (waiting.status, waiting.permanent_failures) == ("ready", 0)
    assert waiting.error == f"FTP host: its answer to {error}"
    assert files(inbox) == []


ENDLESS = "220-hello\r\n" * 200_000


@pytest.mark.parametrize(
    "host",
    [
        {"ftp_USER": says(ENDLESS)},
        {"ftp_USER": says("220 " + "x" * 2_000_000)},
        {"ftp_FEAT": says("211-Features\r\n" + " UTF8\r\n" * 300_000)},
        {"ftp_STOR": says("150-" + "\r\n" * 1_000_000)},
        {"ftp_SIZE": says("213-1\r\n" * 300_000)},
    ],
)
def test_endless_reply_is_given_up_and_shown_in_part(context: Context, inbox: Path, host: dict):
    with serving(inbox, **host) as (port, _told):
        waiting = run(here := context_with(context, ftp_timeout=5), large_export(here, port, folder="weiß"))
    assert (waiting.status, waiting.permanent_failures) == ("ready", 0)
    assert waiting.error.startswith("FTP host: its reply has no end: 2" if "ftp_STOR" not in host else "FTP host: its")
    assert len(waiting.error) < 250
    assert files(inbox) == []
