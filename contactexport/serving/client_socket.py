"""A client's connection that is given up when the client is too slow, in sending its request or taking the answer."""

import errno
import fcntl
import logging
import os
import select
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from contactexport.errors import RequestTimedOut

# Of an answer, the client must take so many bytes within `send_seconds`.
BLOCK_BYTES = 1 << 16
# What the kernel holds for the client is looked at so often.
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class ClientSocket(socket.socket):
    """A blocking socket with two limits.

    A request must have arrived whole within `request_seconds`, however many pieces it comes in. Of an answer the client
    must take 64 KiB within `send_seconds`: what counts is what it has acknowledged, not what the kernel still holds.
    """

    def __init__(self, accepted: socket.socket, address: object, request_seconds: float, send_seconds: float) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address = address
        self.request_seconds = request_seconds
        self.send_seconds = send_seconds
        self.turns: threading.Semaphore | None = None  # one of them is held, but while this waits for the client
        self.await_request(has_begun=False)

    def await_request(self, *, has_begun: bool) -> None:
        """The time of the next request begins. `has_begun`: a part of it is here already."""
        self.has_begun = has_begun
        self.when_late: Callable[[], None] | None = None  # called before RequestTimedOut is raised
        # Since when this thread has been waiting for the client to send or to take something; None while it does not.
        self.waiting_since: float | None = None
        self._request_began = time.monotonic()
        self._block_began = 0.0
        self._sent = self._taken_before = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What has arrived; nothing once the client has ended, or if it never begins. Raises RequestTimedOut."""
        if self.gettimeout() is not None:
            return super().recv(size, flags)  # gunicorn's own limit, while it closes a connection
        received = self._receive(size, flags)
        self.has_begun = True
        return received

    def _receive(self, size: int, flags: int) -> bytes:
        left = self._request_began + self.request_seconds - time.monotonic()
        with suppress(BlockingIOError):
            if left > 0:
                return super().recv(size, flags | socket.MSG_DONTWAIT)
        if left > 0 and self._wait(select.POLLIN, left, self._request_began):
            return super().recv(size, flags)
        if not self.has_begun:
            return b""
        if self.when_late:
            self.when_late()
        raise RequestTimedOut

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override] # gunicorn sends bytes only
        """Sends all of it. Raises ConnectionResetError when the client takes too little."""
        left = memoryview(data)
        while left:
            try:
                sent = self.send(left, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait_for_space()
            else:
                self._sent += sent
                left = left[sent:]

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:  # type: ignore[override]
        """Has the kernel send a part of a file. Raises ConnectionResetError when the client takes too little."""
        end = sys.maxsize if count is None else offset + count
        began = self._sent
        self.setblocking(False)
        try:
            while offset < end:
                try:
                    sent = os.sendfile(self.fileno(), file.fileno(), offset, min(end - offset, 1 << 30))
                except BlockingIOError:
                    self._wait_for_space()
                    continue
                if sent == 0:  # the file ends here
                    break
                self._sent += sent
                offset += sent
        finally:
            self.setblocking(True)
        return self._sent - began

    def drop(self) -> None:
        """Ends the connection at once, with what was not sent yet; another thread that waits for the client goes on."""
        with suppress(OSError):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.shutdown(socket.SHUT_RDWR)

    def _wait_for_space(self) -> None:
        while True:
            left = self._seconds_left()
            if left <= 0:
                logger.info("dropped a client that takes no more of its answer: %s", self.address)
                self.drop()
                raise ConnectionResetError(errno.ECONNRESET, "the client takes no more of its answer")
            if self._wait(select.POLLOUT, min(left, LOOK_SECONDS), self._block_began):
                return

    def _seconds_left(self) -> float:
        """For the block of bytes that the client has to take now."""
        now = time.monotonic()
        taken = self._sent - _unacknowledged(self)
        if taken - self._taken_before >= BLOCK_BYTES or not self._block_began:
            self._block_began, self._taken_before = now, taken
        return self._block_began + self.send_seconds - now

    def _wait(self, event: int, seconds: float, since: float) -> bool:
        """True once the client has done something, False after so many seconds; others work meanwhile."""
        self.waiting_since = since
        if self.turns:
            self.turns.release()
        poll = select.poll()
        poll.register(self, event)
        try:
            return bool(poll.poll(seconds * 1000))
        finally:
            if self.turns:
                self.turns.acquire()
            self.waiting_since = None


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel still holds for the other side (tcp(7), SIOCOUTQ)."""
    (held,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))
    return int(held)
