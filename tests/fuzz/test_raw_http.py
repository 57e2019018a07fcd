"""Whatever bytes a client sends over a socket, even those that no HTTP library would send, the answer is no 5xx."""

import http.client
import json
import socket

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import envelope
from tests.fuzz.fuzz_cases import count, fuzz
from tests.fuzz.request_bodies import LOCAL, bodies

BODY = json.dumps(LOCAL).encode()
LINES = st.sampled_from(
    [
        b"POST /api/v2/contact/getchanges HTTP/1.1",
        b"POST /api/v2/contact/getchanges HTTP/1.1",
        b"POST /api/v2/contact/getchanges HTTP/1.0",
        b"POST http://localhost/api/v2/contact/getchanges HTTP/1.1",
        b"GET /api/v2/export/1 HTTP/1.1",
        b"GET /api/v2/export/%00%ff HTTP/1.1",
        b"GET //api/v2/field HTTP/1.1",
        b"GET /api/v2/field/" + b"9" * 3900 + b"/choice HTTP/1.1",
        b"GET /" + b"x" * 5000 + b" HTTP/1.1",
        b"GET /api/v2/field?" + b"&" * 3000 + b" HTTP/1.1",
        b"GET api HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET / HTTP/9.9",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"g\xe9t / HTTP/1.1",
    ]
) | st.binary(min_size=1, max_size=40)
HEADERS = st.lists(
    st.sampled_from(
        [
            b"Content-Length: -1",
            b"Content-Length: 5",
            b"Content-Length: 99999999999999999999",
            b"Content-Length: abc",
            b"Content-Length: +7",
            b"Content-Length: 5, 5",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Content-Type: application/json",
            b"Content-Type: application/json; charset=\xff",
            b"Content-Encoding: gzip",
            b"Expect: 100-continue",
            b"Expect: 200-ok",
            b"Host: a b",
            b"Host:",
            b": no name",
            b"no colon",
            b"X Y: z",
            b" folded: line",
            b"X: \x00",
            b"X-WSSE: \xff\xfe",
            b"X-Long: " + b"x" * 9000,
            b"X-Forwarded-Proto: https",
            b"Connection: upgrade",
            b"Upgrade: h2c",
        ]
    )
    | st.binary(max_size=30),
    max_size=4,
)
CHUNKED = st.sampled_from(
    [
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"%x\r\n%s\r\n" % (len(BODY), BODY),
        b"zz\r\n" + BODY,
        b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"-1\r\n\r\n",
        b"5;x=y\r\nabcde\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nabc",
        b"11000\r\n" + b"x" * 0x11000 + b"\r\n0\r\n\r\n",
    ]
)


def exchange(server, request):
    """The answer to these bytes, or None. Closes the sending side of the connection after them."""
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # refused before everything was sent, but there may be an answer
            pass
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            return answer.status, answer.headers.get("Content-Type"), answer.read()
        except (http.client.BadStatusLine, ConnectionResetError):
            return None


def check(server, request):
    count()
    answer = exchange(server, request)
    if answer is not None:
        envelope.check("GET", *answer)
    return answer


def head(line, *headers):
    return b"\r\n".join([line, *headers, b"", b""])


@fuzz(0.05)
@given(line=LINES, headers=HEADERS, body=CHUNKED | st.just(BODY) | st.binary(max_size=30), with_token=st.booleans())
def test_no_bytes_are_answered_with_a_5xx(server, line, headers, body, with_token):
    token = [f"Authorization: Bearer {server.token}".encode()] if with_token else []
    check(server, head(line, b"Host: localhost", *token, *headers) + body)


@fuzz(0.03)
@given(body=bodies)
def test_every_complete_request_is_answered(server, body):
    authorization = f"Authorization: Bearer {server.token}".encode()
    length = f"Content-Length: {len(body)}".encode()
    line = b"POST /api/v2/contact/getchanges HTTP/1.1"
    assert check(
        server, head(line, b"Host: localhost", b"Content-Type: application/json", authorization, length) + body
    )
