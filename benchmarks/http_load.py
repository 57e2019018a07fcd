"""Clients that send prepared HTTP requests to a local port as fast as they are answered, and measure the time of each.

Each client is a thread with one persistent connection. Requests are bytes, and answers are parsed only as far as
needed, so that the server and not its clients use the machine.
"""

import json
import math
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_WAIT = 30


@dataclass(frozen=True)
class Load:
    """The result: `seconds` for all requests, the `latencies` of each in seconds, and the JSON of the answers."""

    seconds: float
    latencies: Sequence[float]
    answers: Sequence[Any]

    @property
    def a_second(self) -> float:
        """The throughput."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency that so many percent of the requests do not exceed, in seconds."""
        place = math.ceil(len(self.latencies) * percent / 100) - 1
        return sorted(self.latencies)[place]


class RequestFailed(Exception):
    """The server has answered with another status than 200."""


def prepared(method: str, path: str, token: str, body: Any = None) -> bytes:
    """The bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def send(port: int, requests: Sequence[bytes], clients: int) -> Load:
    """Sends all requests by so many clients. Each client takes the next request until none is left.

    Raises RequestFailed if one is not answered with 200.
    """
    waiting = iter(requests)
    results: list[list[tuple[float, bytes]]] = [[] for _ in range(clients)]
    failures: list[Exception] = []
    threads = [
        threading.Thread(target=_client, args=(port, waiting, results[number], failures)) for number in range(clients)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    done = [one for result in results for one in result]
    return Load(seconds, [latency for latency, _ in done], [json.loads(answer) for _, answer in done])


def _client(port: int, requests: Iterator[bytes], done: list[tuple[float, bytes]], failures: list[Exception]) -> None:
    try:
        with socket.create_connection(("127.0.0.1", port), LONGEST_WAIT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for request in requests:
                began = time.perf_counter()
                connection.sendall(request)
                answer = _answer(connection)
                done.append((time.perf_counter() - began, answer))
    except (OSError, RequestFailed) as failure:
        failures.append(failure)


def _answer(connection: socket.socket) -> bytes:
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _more(connection)
    head, body = received[:end].lower(), received[end + 4 :]
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    if not head.startswith(b"http/1.1 200"):
        raise RequestFailed(f"{head.decode()}\n{body.decode()}")
    return body


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise RequestFailed("the server has closed the connection")
    return received
