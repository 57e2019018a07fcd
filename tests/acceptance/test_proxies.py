"""The configurations of nginx and HAProxy in ops/, run before gunicorn with TLS."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from contactexport.context import Context
from contactexport.embedded import sample_contacts
from contactexport.exports import accept, run
from contactexport.users import manage
from contactexport.users.models import Caller
from tests.support import processes
from tests.support.certificates import self_signed
from tests.support.exporting import execute, settings_for
from tests.support.served import EXAMPLE, GETCHANGES, PROJECT, free_port, wait_until
from tests.support.wsse_header import wsse_header

pytestmark = pytest.mark.slow

OPS = PROJECT / "ops" / "proxy"
PROGRAMS = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("nginx", "haproxy")}
LARGE = 60_000_000  # more than the buffers of sockets and proxies
# What nginx is given besides the file of ops/. On a machine that is its nginx.conf.
AROUND = """
worker_processes 1;
daemon off;
error_log stderr;
pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass
class Proxy:
    """A proxy on loopback. `certificate` is what its clients trust."""

    process: psutil.Process
    port: int
    certificate: Path

    def post(self, path: str, **options: object) -> requests.Response:
        return requests.post(self.url + path, verify=str(self.certificate), timeout=30, **options)

    def get(self, path: str, **options: object) -> requests.Response:
        return requests.get(self.url + path, verify=str(self.certificate), timeout=30, **options)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def written(self) -> int:
        """Bytes that the proxy has written to files."""
        return sum(one.io_counters().write_bytes for one in self.family())

    def memory(self) -> int:
        return sum(one.memory_info().rss for one in self.family())


@contextmanager
def proxy(name: str, folder: Path, upstream: int) -> Iterator[Proxy]:
    """Runs the configuration of ops/ with another port, certificate and server. Skips if the program is missing."""
    program = PROGRAMS[name]
    if program is None:
        pytest.skip(f"{name} is not installed (Debian: {name})")
    port = free_port()
    certificate = self_signed(folder / "both.pem")
    source = (OPS / {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[name]).read_text(encoding="utf-8")
    replaced = {
        "/etc/ssl/contactexport/certificate.pem": str(certificate),
        "/etc/ssl/contactexport/key.pem": str(certificate),
        "/etc/ssl/contactexport/both.pem": str(certificate),
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "bind :443 ": f"bind 127.0.0.1:{port} ",
        "127.0.0.1:8025": f"127.0.0.1:{upstream}",
    }
    for old, new in replaced.items():
        source = source.replace(old, new)
    assert "443" not in source
    if name == "nginx":
        (folder / "site.conf").write_text(source)
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
        command = [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    else:
        (folder / "haproxy.cfg").write_text(source)
        command = [program, "-db", "-f", str(folder / "haproxy.cfg")]
        checked = subprocess.run([*command, "-c"], capture_output=True, text=True, check=False)
        assert "WARNING" not in checked.stdout + checked.stderr, checked.stderr
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        made = Proxy(psutil.Process(started.pid), port, certificate)
        wait_until(lambda: ready(made), f"{name} passes requests on", 30)
        yield made
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait(timeout=30)


def ready(made: Proxy) -> bool:
    with suppress(requests.RequestException):
        return made.get("/healthz").status_code == 200
    return False


@pytest.fixture(params=sorted(PROGRAMS))
def name(request) -> str:
    return request.param


@pytest.fixture
def server(context: Context) -> Iterator[processes.Server]:
    with processes.server(context, workers=1) as started:
        yield started


@pytest.fixture
def front(name: str, server: processes.Server, tmp_path: Path) -> Iterator[Proxy]:
    with proxy(name, tmp_path, server.port) as made:
        yield made


@pytest.fixture
def token(context: Context) -> dict[str, str]:
    made = manage.add_user(context, "behind-the-proxy", with_wsse=False, with_token=True)
    return {"Authorization": f"Bearer {made.token}"}


def test_export_is_posted_run_and_downloaded_over_https(front: Proxy, context: Context, token: dict[str, str]):
    sample_contacts.generate(context.contacts, 300)
    posted = front.post(GETCHANGES, json=EXAMPLE, headers=token)
    assert posted.status_code == 200, posted.text
    export_id = int(posted.json()["data"]["id"])
    run.run(context, export_id)
    answer = front.get(f"/api/v2/export/{export_id}/data", headers=token)
    [file] = context.settings.storage_dir.glob(f"changes_{export_id}_*.csv")
    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_wsse_header_reaches_the_service(front: Proxy, context: Context):
    secret = manage.add_user(context, "with-wsse", with_wsse=True, with_token=False).secret
    answer = front.post(GETCHANGES, json=EXAMPLE, headers={"X-WSSE": wsse_header("with-wsse", str(secret))})
    assert answer.status_code == 200, answer.text


def test_log_has_the_address_of_the_client(front: Proxy, server: processes.Server, token: dict[str, str]):
    """The client adds an address that nobody vouches for. It must not be believed."""
    with requests.Session() as session:
        session.mount("https://", from_address("127.0.0.9"))
        headers = token | {"X-Forwarded-For": "203.0.113.7"}
        session.get(f"{front.url}/api/v2/export", headers=headers, verify=str(front.certificate), timeout=30)
    wait_until(lambda: requests_logged(server.log) != [], "the request is in the log", 30)
    assert {one["address"] for one in requests_logged(server.log)} == {"127.0.0.9"}


def from_address(address: str) -> requests.adapters.HTTPAdapter:
    adapter = requests.adapters.HTTPAdapter()
    adapter.init_poolmanager(1, 1, source_address=(address, 0))
    return adapter


def requests_logged(log: Path) -> list[dict[str, object]]:
    found = re.findall(r"contactexport\.audit: (\{.*\})", log.read_text())
    return [one for one in map(json.loads, found) if one["event"] == "request"]


@pytest.mark.parametrize("sent", ["of-the-client-1", None])
def test_request_id_is_passed_on_or_made(name: str, tmp_path: Path, sent: str | None):
    with recorder() as (port, seen), proxy(name, tmp_path, port) as front:
        seen.clear()
        front.get("/api/v2/export", headers={"X-Request-ID": sent} if sent else {})
        [request] = [one for one in seen if one.startswith("GET /api/v2/export")]
        ids = re.findall(r"^X-Request-ID: (\S+)\r$", request, re.MULTILINE | re.IGNORECASE)
        assert len(ids) == 1
        assert ids == [sent] if sent else re.fullmatch(r"[0-9a-f-]{32,36}", ids[0])
        assert re.search(r"^X-Forwarded-Proto: https\r$", request, re.MULTILINE | re.IGNORECASE)


@contextmanager
def recorder() -> Iterator[tuple[int, list[str]]]:
    """An upstream server that answers 200, and the requests that reached it."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _address = listening.accept()
                    with accepted:
                        seen.append(accepted.recv(65536).decode())
                        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], seen
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("size", "status"), [(65536, 200), (65537, 413)])
def test_body_limit_is_that_of_the_service(
    front: Proxy, server: processes.Server, token: dict[str, str], size: int, status: int
):
    body = json.dumps(EXAMPLE).ljust(size)
    headers = token | {"Content-Type": "application/json"}
    answer = front.post(GETCHANGES, data=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    if status == 413:
        own = requests.post(server.url + GETCHANGES, data=body, headers=headers, timeout=30)
        assert (answer.status_code, answer.json()) == (own.status_code, own.json())


def test_large_download_is_streamed_and_not_written_to_the_disk_of_the_proxy(
    front: Proxy, context: Context, token: dict[str, str], tmp_path: Path
):
    export_id = large_export(context)
    written, memory = front.written(), front.memory()
    with front.get(f"/api/v2/export/{export_id}/data", headers=token, stream=True) as answer:
        pieces = answer.iter_content(65536)
        size = len(next(pieces))
        # The client takes nothing more for now. What the proxy holds meanwhile is neither in files nor all in memory.
        wait_until(lambda: front.memory() >= memory, "it has begun", 5)
        threading.Event().wait(2)
        assert front.memory() - memory < LARGE / 4
        assert front.written() - written < LARGE / 4
        size += sum(map(len, pieces))
    assert size == LARGE
    assert front.written() - written < LARGE / 4
    assert [path for path in (tmp_path / "proxy").rglob("*") if path.is_file()] == []


def large_export(context: Context) -> int:
    """An export that is done, with a file of that size in place of its rows."""
    export_id = accept.request(context, settings_for(), None, Caller("behind-the-proxy"))
    run.run(context, export_id)
    [file] = context.settings.storage_dir.glob(f"changes_{export_id}_*.csv")
    file.unlink()
    file.write_bytes(os.urandom(1_000_000) * (LARGE // 1_000_000))
    execute(context, "UPDATE export SET bytes = %s WHERE id = %s", (LARGE, export_id))
    return export_id
