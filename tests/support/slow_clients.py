"""Clients of a server that send slowly or read nothing, made of sockets."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

from tests.support.processes import Server

LONGEST_WAIT = 60


def connect(server: Server, receive_buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    client.settimeout(LONGEST_WAIT)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", server.port))
    return client


@contextmanager
def connected(
    server: Server, count: int, sent: bytes = b"", receive_buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    """So many clients, each of which has sent these bytes."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server, receive_buffer)) for _ in range(count)]
        for client in clients:
            client.sendall(sent)
        yield clients


@contextmanager
def dripping(clients: Sequence[socket.socket], drop: bytes = b"x") -> Iterator[None]:
    """Lets each client send a little more, several times a second."""
    ended = Event()

    def drip() -> None:
        while not ended.wait(0.2):
            for client in clients:
                with suppress(OSError):
                    client.sendall(drop)

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def head(server: Server, line: str, *headers: str) -> bytes:
    """The head of a request with credentials."""
    return head_without_token(line, f"Authorization: Bearer {server.token}", *headers)


def head_without_token(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: localhost", *headers, "", ""]).encode()


def all_of(client: socket.socket) -> bytes:
    """The bytes that arrive until the server closes or resets the connection."""
    received = bytearray()
    with suppress(ConnectionError):
        while block := client.recv(1 << 20):
            received += block
    return bytes(received)


def read_slowly(client: socket.socket, a_second: int, seconds: float) -> bytes:
    """The bytes that arrive at this pace, for so many seconds or until the connection ends."""
    received = bytearray()
    give_up = time.monotonic() + seconds
    with suppress(ConnectionError):
        while time.monotonic() < give_up:
            received += client.recv(a_second // 10)
            time.sleep(0.1)
    return bytes(received)
