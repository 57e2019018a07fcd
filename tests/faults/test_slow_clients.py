"""Clients that send slowly or do not read the answer delay no other client and are dropped."""

import hashlib
import http.client
import json
import signal
import time

import pytest

from contactexport.context import Context
from contactexport.exports.models import Export
from tests.support.exporting import contact_changed, execute, request, run, settings_for
from tests.support.processes import Server, server
from tests.support.served import EXAMPLE, wait_until
from tests.support.slow_clients import all_of, connect, connected, dripping, head, head_without_token, read_slowly

pytestmark = pytest.mark.slow

POST = "POST /api/v2/contact/getchanges HTTP/1.1"
PLENTY = "600"
SOON = "4"


def others_are_answered(server: Server) -> None:
    """Checks that whatever process of the server takes the connection answers soon."""
    for _ in range(5):
        began = time.monotonic()
        assert server.get("/healthz").status_code == 200
        assert server.post({}).status_code == 400
        assert time.monotonic() - began < 15


def dropped(server: Server) -> int:
    return server.log.read_text().count("dropped a client that takes no more of its answer")


def half_requests(server: Server) -> dict[str, bytes]:
    """Incomplete requests, by their kind."""
    body = b'{"distribution_method": "local"'
    return {
        "one byte": b"G",
        "half a head": f"{POST}\r\nHost: x\r\nX-Some: ".encode(),
        "no empty line": f"{POST}\r\nHost: x\r\n".encode(),
        "half a body": head(server, POST, "Content-Type: application/json", "Content-Length: 5000") + body,
        "no body": head(server, POST, "Content-Length: 5000"),
        "half a chunk": head(server, POST, "Transfer-Encoding: chunked") + b"1000\r\n" + body,
        "no last chunk": head(server, POST, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(body), body),
        "half a trailer": head(server, POST, "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\nX-Some: ",
        "a second request": head(server, "GET /healthz HTTP/1.1") + b"GET /healthz HTTP/1.1\r\n",
        "a body that is not read": head(server, "GET /healthz HTTP/1.1", "Content-Length: 5000") + body,
    }


def is_408(answer: bytes) -> bool:
    head, _, body = answer.rpartition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 408 "):
        return False
    assert b"connection: close" in head.lower()
    reply = json.loads(body)
    assert reply == {"replyCode": 1, "replyText": "Request Timeout", "data": ""}
    return True


@pytest.mark.parametrize("count", [24, 200])
def test_half_sent_heads_block_nobody_and_get_408(context: Context, count: int):
    contact_changed(context)
    with (
        server(context, workers=1, REQUEST_TIMEOUT="10") as slowed,
        connected(slowed, count, b"GET /healthz HTTP/1.1\r\nHost: x\r\n") as clients,
    ):
        others_are_answered(slowed)
        assert slowed.post(EXAMPLE).status_code == 200
        refused = sum(is_408(all_of(client)) for client in clients)
        assert refused >= count - 5  # if there are not enough threads, some are dropped
        assert not slowed.said("Traceback")


def test_half_sent_requests_of_every_kind_block_nobody_and_end(context: Context):
    with server(context, workers=1, threads=100, REQUEST_TIMEOUT=SOON) as slowed:
        for kind, sent in half_requests(slowed).items():
            with connected(slowed, 24, sent) as clients:
                others_are_answered(slowed)
                answers = [all_of(client) for client in clients]
            if kind == "a second request":
                answers = [answer.partition(b"}}\n")[2] for answer in answers]
            if kind == "a body that is not read":  # answered, then closed
                assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers), kind
            else:
                assert all(is_408(answer) for answer in answers), (kind, answers[0])
        assert not slowed.said("Traceback")


def test_half_sent_form_and_request_that_expects_100_continue_end(context: Context):
    form = ("Content-Type: application/x-www-form-urlencoded", "Content-Length: 50")
    half_form = head_without_token("POST /oauth2/token HTTP/1.1", *form) + b"grant_type="
    waiting = head_without_token(POST, "Content-Length: 50", "Expect: 100-continue")
    with server(context, workers=1, REQUEST_TIMEOUT=SOON) as slowed:
        with connected(slowed, 24, half_form) as clients:
            others_are_answered(slowed)
            answers = [all_of(client) for client in clients]
            assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers), answers[0]
        with connected(slowed, 24, waiting) as clients:
            others_are_answered(slowed)
            answers = [all_of(client).partition(b"\r\n\r\n")[2] for client in clients]
            assert all(answer.startswith(b"HTTP/1.1 401 ") for answer in answers), answers[0]


def test_requests_that_arrive_byte_by_byte_end(context: Context):
    """The time limit is for the whole request, however often a byte arrives."""
    with server(context, workers=1, REQUEST_TIMEOUT=SOON) as slowed:
        for kind in ("half a head", "half a body", "half a chunk", "half a trailer"):
            with connected(slowed, 50, half_requests(slowed)[kind]) as clients:
                with dripping(clients):
                    others_are_answered(slowed)
                    # Bytes that arrive after the answer may reset the connection, which loses the answer.
                    answers = [all_of(client) for client in clients]
                assert all(is_408(answer) for answer in answers if answer), kind
                assert any(answers), kind


def test_others_are_answered_although_more_clients_wait_than_there_are_threads(context: Context):
    with (
        server(context, workers=1, threads=24, REQUEST_TIMEOUT=PLENTY) as slowed,
        connected(slowed, 300, b"GET /healthz HTTP/1.1\r\n"),
    ):
        others_are_answered(slowed)
        assert slowed.said("all 24 threads are in use")


def test_connections_that_send_nothing_are_closed_without_an_answer(context: Context):
    """A client may open a connection in advance. It would take 408 for the answer to its later request."""
    with server(context, workers=1, REQUEST_TIMEOUT=SOON) as slowed:
        with connected(slowed, 100) as clients:
            others_are_answered(slowed)
            assert [all_of(client) for client in clients] == [b""] * 100
        with connected(slowed, 50, head(slowed, "GET /healthz HTTP/1.1")) as clients:
            answers = [all_of(client) for client in clients]
        assert all(answer.count(b"HTTP/1.1") == 1 and answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_connection_may_last_longer_than_the_request_timeout(context: Context):
    with server(context, workers=1, REQUEST_TIMEOUT="2") as started:
        kept = http.client.HTTPConnection("127.0.0.1", started.port, timeout=30)
        kept.connect()
        opened = kept.sock
        for _ in range(6):
            kept.request("GET", "/healthz")
            assert kept.getresponse().read().startswith(b'{"replyCode":0')
            time.sleep(0.7)
        assert kept.sock is opened
        kept.close()


def test_pipelined_requests_are_answered_one_after_the_other(context: Context):
    with server(context, workers=1) as started, connect(started) as client:
        body = json.dumps({}).encode()
        post = head(started, POST, "Content-Type: application/json", f"Content-Length: {len(body)}") + body
        client.sendall((post + head(started, "GET /healthz HTTP/1.1")) * 20)
        client.sendall(head(started, "GET /healthz HTTP/1.1", "Connection: close"))
        answer = all_of(client)
    assert answer.count(b"HTTP/1.1 400 ") == 20
    assert answer.count(b"HTTP/1.1 200 ") == 21


def test_stopping_server_does_not_wait_for_clients_that_send_nothing(context: Context):
    with server(context, REQUEST_TIMEOUT=PLENTY) as stopping, connected(stopping, 10):
        others_are_answered(stopping)
        stopping.signal(signal.SIGTERM)
        assert stopping.started.wait(timeout=20) == 0


@pytest.fixture
def large(context: Context) -> Export:
    """An export whose file is much larger than the buffers between the two ends."""
    contact_changed(context)
    execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id, first_name) "
        "SELECT 'form', 123, repeat('x', 1000) FROM generate_series(1, 40000) RETURNING 1",
    )
    return run(context, request(context, settings_for(end=settings_for().end.replace(year=2100))))


def download(server: Server, export: Export, query: str = "") -> bytes:
    return head(server, f"GET /api/v2/export/{export.id}/data{query} HTTP/1.1")


def test_downloads_that_nobody_reads_block_nobody_and_are_dropped(context: Context, large: Export):
    with server(context, SEND_TIMEOUT=SOON) as slowed:
        with connected(slowed, 100, download(slowed, large), receive_buffer=4096) as clients:
            others_are_answered(slowed)
            first = [client.recv(12) for client in clients]
            assert set(first) == {b"HTTP/1.1 200", b"HTTP/1.1 429"}
            running = first.count(b"HTTP/1.1 200")
            assert running <= 2 * context.settings.downloads_per_user
            wait_until(lambda: dropped(slowed) == running, "they are dropped")
            assert slowed.get(f"/api/v2/export/{large.id}/data?limit=1").status_code == 200
            assert all(len(all_of(client)) < large.bytes for client in clients)
        assert not slowed.said("Traceback")


@pytest.mark.parametrize("query", ["", "?offset=1&limit=39999"])
def test_unread_downloads_of_many_users_block_nobody(context: Context, large: Export, query: str):
    with (
        server(context, workers=1, SEND_TIMEOUT="10", DOWNLOADS_PER_USER="1000") as slowed,
        connected(slowed, 120, download(slowed, large, query), receive_buffer=4096) as clients,
    ):
        others_are_answered(slowed)
        first = [client.recv(12) for client in clients]
        assert first.count(b"HTTP/1.1 200") == 100
        others_are_answered(slowed)
        wait_until(lambda: dropped(slowed) == 100, "all dropped")


def test_other_answers_that_nobody_reads_are_dropped(context: Context):
    """Also without credentials: the OpenAPI document, requested again and again on one connection."""
    many = b"GET /api/v2/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with (
        server(context, workers=1, SEND_TIMEOUT=SOON) as slowed,
        connected(slowed, 60, many, receive_buffer=4096),
    ):
        others_are_answered(slowed)
        wait_until(lambda: dropped(slowed) == 60, "all dropped")
        assert not slowed.said("Traceback")


def test_download_that_is_read_too_slowly_is_dropped(context: Context, large: Export):
    with server(context, SEND_TIMEOUT="2") as slowed, connect(slowed, receive_buffer=4096) as client:
        client.sendall(download(slowed, large))
        received = read_slowly(client, a_second=1000, seconds=8)
        received += all_of(client)
        assert received.startswith(b"HTTP/1.1 200")
        assert len(received) < large.bytes
        assert dropped(slowed) == 1


@pytest.mark.parametrize("query", ["", "?offset=0&limit=1000000"])
@pytest.mark.parametrize("receive_buffer", [None, 65536])
def test_slow_but_steady_download_completes(context: Context, large: Export, query: str, receive_buffer: int | None):
    """More than 64 KiB in every two seconds, for much longer than that."""
    with server(context, SEND_TIMEOUT="2") as slowed, connect(slowed, receive_buffer) as client:
        client.sendall(download(slowed, large, query).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = read_slowly(client, a_second=200_000, seconds=12)
        received += all_of(client)
    assert hashlib.sha256(received.partition(b"\r\n\r\n")[2]).hexdigest() == large.sha256
