"""FTP with explicit TLS: both connections are protected, and the certificate must be valid for the host."""

import socket
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler

from contactexport.context import Context
from contactexport.errors import SettingsError
from contactexport.hosts.guard import NetworkGuard
from contactexport.hosts.parse import parse_allowed_hosts
from contactexport.settings import load_settings
from tests.support import certificates
from tests.support.exporting import context_with, make_due, run
from tests.support.ftp_hosts import files, is_whole, large_export, serving


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> Path:
    return certificates.self_signed(tmp_path_factory.mktemp("tls") / "host.pem", "ftp.example.com")


def requiring_tls(folder: Path, pem: Path, **attributes):
    return serving(
        folder,
        type("Handler", (TLS_FTPHandler,), {}),
        certfile=str(pem),
        ssl_context=None,
        tls_control_required=True,
        tls_data_required=True,
        **attributes,
    )


def trusting(context: Context, pem: Path | None) -> Context:
    """A service that resolves some names, all to this machine."""
    allowed = parse_allowed_hosts("127.0.0.1,ftp.example.com,other.example.com")
    made = context_with(context, ftp_ca_file=pem, allowed_hosts=allowed)
    return replace(made, guard=NetworkGuard(allowed, lambda _name, _port: ["127.0.0.1"]))


@pytest.mark.parametrize("host", ["ftp.example.com", "FTP.example.com.", "127.0.0.1"])
def test_host_that_requires_tls_gets_file(context: Context, inbox: Path, pem: Path, host: str):
    with requiring_tls(inbox, pem) as (port, told):
        done = run(here := trusting(context, pem), large_export(here, port, host=host, tls=True))
    assert (done.status, done.error) == ("done", None)
    assert files(inbox) == [f"in/{done.file_name}"]
    assert is_whole(inbox / "in" / done.file_name, done)
    assert told.index("AUTH") < told.index("USER")
    assert "PROT" in told


def test_refusal_of_plain_text_is_in_status(context: Context, inbox: Path, pem: Path):
    with requiring_tls(inbox, pem) as (port, _told):
        waiting = run(context, large_export(context, port))
    assert (waiting.status, waiting.permanent_failures) == ("ready", 1)
    assert waiting.error == "FTP host: 550 SSL/TLS required on the control channel."


@pytest.mark.parametrize(
    "host,trusted,reason",
    [
        ("ftp.example.com", False, "self-signed certificate"),
        ("other.example.com", True, "Hostname mismatch, certificate is not valid for 'other.example.com'."),
    ],
)
def test_invalid_certificate_is_permanent_failure(
    context: Context, inbox: Path, pem: Path, host: str, trusted: bool, reason: str
):
    here = trusting(context, pem if trusted else None)
    with requiring_tls(inbox, pem) as (port, told):
        export_id = large_export(here, port, host=host, tls=True)
        for status in ("ready", "ready", "error"):
            tried = run(here, export_id)
            assert (tried.status, tried.error) == (status, f"FTP host: its certificate is not accepted: {reason}")
            if status == "ready":
                make_due(here, export_id)
    assert files(inbox) == []
    assert set(told) == {"AUTH"}  # not a word about who we are


def test_certificate_must_name_address(context: Context, inbox: Path, tmp_path: Path):
    pem = certificates.self_signed(tmp_path / "other.pem", address="127.0.0.2")
    with requiring_tls(inbox, pem) as (port, _told):
        waiting = run(here := trusting(context, pem), large_export(here, port, tls=True))
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in waiting.error


def test_host_without_tls_never_gets_password(context: Context, inbox: Path):
    with serving(inbox, FTPHandler) as (port, told):
        waiting = run(context, large_export(context, port, tls=True))
    assert (waiting.status, waiting.permanent_failures) == ("ready", 1)
    assert waiting.error.startswith("FTP host: it offers no TLS: 5")
    assert "USER" not in told


@pytest.mark.parametrize("answer", [b"", b"this is not TLS\r\n" * 9])
def test_failed_handshake_is_retried(context: Context, answer: bytes):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def talk() -> None:
            connection = server.accept()[0]
            with connection:
                connection.sendall(b"220 ready\r\n")
                connection.recv(100)
                connection.sendall(b"234 go ahead\r\n")
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=talk)
        thread.start()
        waiting = run(context, large_export(context, server.getsockname()[1], tls=True))
        thread.join()
    assert (waiting.status, waiting.permanent_failures) == ("ready", 0)
    assert waiting.error.startswith("FTP host: ")


@pytest.mark.parametrize("content", [None, "no certificate", ""])
def test_invalid_ca_file_stops_start(tmp_path: Path, content: str | None):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=f"^CONTACTEXPORT_FTP_CA_FILE is '{path}': a readable PEM file of cert"):
        load_settings({}, {"CONTACTEXPORT_FTP_CA_FILE": str(path)})


@pytest.mark.parametrize("sent,shown", [("yes", "yes"), (2, "2"), (True, "true")])
def test_tls_is_1_or_0(api, sent: object, shown: str):
    ftp = {"host": "127.0.0.1", "username": "user", "password": "x", "tls": sent}
    asked = {
        "distribution_method": "ftp",
        "time_range": ["2012-02-09", "2012-04-02"],
        "origin": "all",
        "contact_fields": [1],
        "ftp_settings": ftp,
    }
    answer = api.post("/api/v2/contact/getchanges", json=asked)
    assert (answer.status_code, answer.json["replyText"]) == (400, f"Invalid value for ftp_settings.tls: {shown}")
