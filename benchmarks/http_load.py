"""Clients that send prepared HTTP requests to a local port as fast as they are answered, and note how long each took.

A thread a client, each with one connection that it keeps. Requests are bytes and answers are read no further than
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
    """What became of the requests: `seconds` for all, `latencies` of each in seconds, their answers' JSON."""

    seconds: float
    latencies: Sequence[float]
    answers: Sequence[Any]

    @property
    def a_second(self) -> float:
        """Throughput."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency that so many percent of the requests do not exceed, in seconds."""
        place = math.ceil(len(self.latencies) * percent / 100) - 1
        return sorted(self.latencies)[place]


class RequestFailed(Exception):
    """The server has answered with another status than 200."""


def prepared(method: str, path: str, token: str, body: Any = None) -> bytes:
    """A request as it goes over the wire."""
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
    """Sends all of them by so many clients, each of which takes the next one until there are none left.

    Raises RequestFailed when one is not answered by 200.
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
