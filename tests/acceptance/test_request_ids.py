"""One grep for the id of a request finds its whole way: proxy, server, worker, delivery, notification, end."""

import json
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from contactexport.context import Context
from tests.support import ftp_hosts
from tests.support.exporting import PASSWORD, REQUIRED_ONLY, contact_changed, lose_messages
from tests.support.invariants import wait_until_final
from tests.support.notification_receiver import receiver
from tests.support.processes import Server, server, worker
from tests.support.served import GETCHANGES, free_port, wait_until

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
NGINX_CONF = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-errors.log;
events {{ }}
http {{
    log_format with_id '$remote_addr "$request" $status request_id=$request_id';
    access_log {folder}/nginx.log with_id;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""
EVENTS = ["export accepted", "request", "export claimed", "file written", "export claimed", "file delivered"]
EVENTS += ["export done", "notification sent"]


@contextmanager
def proxy(to: Server, folder: Path) -> Iterator[str]:
    """nginx in front of a server. Yields its address."""
    folder.mkdir()
    folder.chmod(0o777)  # nginx started as root works as another user
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX_CONF.format(folder=folder, port=port, behind=to.port))
    process = subprocess.Popen([str(NGINX), "-c", str(configuration), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(port), "nginx answers")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def grep(request_id: str, *logs: Path) -> list[str]:
    return [line for log in logs if log.exists() for line in log.read_text().splitlines() if request_id in line]


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_one_grep_finds_the_whole_way_of_a_request(context: Context, tmp_path: Path, log_format: str):
    contact_changed(context)
    ftp_log = tmp_path / "ftp.log"
    handler = logging.FileHandler(ftp_log)
    logging.getLogger("pyftpdlib").addHandler(handler)
    logging.getLogger("pyftpdlib").setLevel(logging.INFO)
    with ExitStack() as opened:
        opened.callback(handler.close)
        opened.callback(logging.getLogger("pyftpdlib").removeHandler, handler)
        port, _ = opened.enter_context(ftp_hosts.serving(tmp_path / "ftp"))
        there = opened.enter_context(receiver())
        asked = opened.enter_context(server(context, LOG_FORMAT=log_format))
        url = opened.enter_context(proxy(asked, tmp_path / "nginx")) if NGINX else asked.url
        ftp = {"host": "127.0.0.1", "port": port, "username": "user", "password": PASSWORD, "folder": "in"}
        body = {"distribution_method": "ftp", "ftp_settings": ftp, "notification_url": there.url()}
        answer = requests.post(
            url + GETCHANGES, json=REQUIRED_ONLY | body, headers={"Authorization": f"Bearer {asked.token}"}, timeout=60
        )
        request_id = answer.headers["X-Request-ID"]
        lose_messages(context)  # the id is stored with the export: the sweep finds it without its message
        running = opened.enter_context(worker(context, concurrency=2, LOG_FORMAT=log_format))
        wait_until_final(context, answer.json()["data"]["id"])
        wait_until(lambda: running.said("notification sent"), "the receiver is notified")
    found = grep(request_id, tmp_path / "nginx" / "nginx.log", asked.log, running.log)
    if NGINX:
        assert "POST /api/v2/contact/getchanges" in found.pop(0)
    told = [json.loads(line[line.index("{") :]) for line in found]
    assert [one["event"] for one in told] == EVENTS
    assert {one["request_id"] for one in told} == {request_id}
    assert told[1]["address"] == "127.0.0.1"
    assert there.received[0].headers["X-Request-ID"] == request_id
    delivered = next(one for one in told if one["event"] == "file delivered")
    assert delivered["file"] in ftp_log.read_text()  # by its name, since FTP has nothing for an id
    if log_format == "json":
        lines = [json.loads(line) for log in (asked.log, running.log) for line in log.read_text().splitlines()]
        assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)


def test_answers_that_no_route_gives_have_an_id_too(context: Context):
    """gunicorn itself answers a header that is too long, and one that is malformed."""
    with server(context, workers=1) as asked:
        for hostile in (b"X-Request-ID: " + b"a" * 10_000, b"X-Request-ID abc"):
            with socket.create_connection(("127.0.0.1", asked.port), timeout=30) as raw:
                raw.sendall(b"GET /api/v2/export HTTP/1.1\r\nHost: here\r\n" + hostile + b"\r\n\r\n")
                answer = raw.recv(65536).decode()
            assert answer.split()[1].startswith("4"), answer
            sent_back = next(line for line in answer.splitlines() if line.startswith("X-Request-ID: "))
            assert len(sent_back) == len("X-Request-ID: ") + 32
