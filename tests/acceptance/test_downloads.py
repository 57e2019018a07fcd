"""Slow downloads do not delay the answers to other clients."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.served import Served, execute, running

pytestmark = pytest.mark.slow

# One of gunicorn's two processes may accept all of them.
SLOW_CLIENTS = 60


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), DOWNLOADS_PER_USER="60") as started:
        yield started


def test_others_are_answered_while_many_clients_download_slowly(served):
    url = served.service.flask("db", "url").strip()
    # Much more than the buffers between the two ends, so that every answer stays unfinished.
    execute(
        url,
        "INSERT INTO contact (origin_kind, origin_id, first_name) "
        "SELECT 'form', 123, repeat('x', 1000) FROM generate_series(1, 40000)",
    )
    done = served.finished(served.accepted(time_range=["2020-01-01", "2100-01-01"]))
    assert done["status"] == "done"
    request = (
        f"GET /api/v2/export/{done['id']}/data HTTP/1.1\r\n"
        f"Host: localhost\r\nAuthorization: Bearer {served.token}\r\n\r\n"
    )
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.service.port)))
            for _ in range(SLOW_CLIENTS)
        ]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(request.encode())
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
        for _ in range(20):
            assert served.get("/api/v2/form").status_code == 200
        assert served.post({}).status_code == 400
