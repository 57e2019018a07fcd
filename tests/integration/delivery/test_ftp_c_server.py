"""Uploads over TLS to servers in C. They demand the TLS session of the control connection, and a proper end of data."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.hosts.parse import parse_allowed_hosts
from tests.support import certificates
from tests.support.exporting import context_with, run
from tests.support.ftp_c_servers import proftpd, vsftpd
from tests.support.ftp_hosts import files, free_port, host_is_back, is_whole, large_export
from tests.support.ftp_uploads import SERVERS, upload_again_and_again


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificates.self_signed(tmp_path / "host.pem", "localhost")


@pytest.fixture
def here(context: Context, pem: Path) -> Context:
    """A service that trusts the server."""
    return context_with(context, ftp_ca_file=pem, allowed_hosts=parse_allowed_hosts("localhost"))


@pytest.fixture
def served() -> Iterator[Path]:
    """Outside the folder of pytest, which other users may not enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (served := Path(folder, "served")).mkdir()
        yield served


@pytest.mark.parametrize("server", [vsftpd, proftpd])
def test_server_that_demands_tls_session_gets_whole_file(here: Context, served: Path, pem: Path, server):
    with server(served, pem) as running:
        folder = f"{running.inbox.relative_to(running.folder)}/of/ours"
        export_id = large_export(
            here, running.port, host="localhost", username=running.username, folder=folder, tls=True
        )
        done = run(here, export_id)
    assert (done.status, done.error) == ("done", None)
    assert files(running.inbox) == [f"of/ours/{done.file_name}"]
    assert is_whole(running.inbox / "of/ours" / done.file_name, done)


@pytest.mark.parametrize("server", [vsftpd, proftpd])
def test_upload_that_could_not_connect_arrives_at_next_attempt(here: Context, served: Path, pem: Path, server):
    with server(served, pem) as running:
        folder = str(running.inbox.relative_to(running.folder))
        export_id = large_export(
            here, free_port(), host="localhost", username=running.username, folder=folder, tls=True
        )
        waiting = run(here, export_id)
        assert (waiting.status, waiting.error) == ("ready", "FTP host: Connection refused")
        for left in (f"{waiting.file_name}.1.part", waiting.file_name):
            (running.inbox / left).write_text("left by an attempt that died")
            os.chown(running.inbox / left, running.inbox.stat().st_uid, -1)
        host_is_back(here, waiting, running.port)
        done = run(here, export_id)
    assert (done.status, done.attempt) == ("done", 2)
    assert files(running.inbox) == [done.file_name]
    assert is_whole(running.inbox / done.file_name, done)


@pytest.mark.parametrize("server", SERVERS)
def test_every_upload_over_tls_arrives_unchanged(tmp_path: Path, served: Path, pem: Path, server: str):
    """A short version of `make uploads`."""
    assert upload_again_and_again(server, served, tmp_path / "x.csv", pem, count=3, size=5_000_000) == []
