"""The connection of a client. It is closed if the client sends its request or reads the answer too slowly."""

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

# A client must read this much of an answer within `send_seconds`.
BLOCK_BYTES = 1 << 16
# How often the bytes that the kernel holds for the client are checked.
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class ClientSocket(socket.socket):
    """A blocking socket with two limits.

    A request must arrive whole within `request_seconds`, in any number of pieces. The client must read 64 KiB of an
    answer within `send_seconds`. Only bytes that it has acknowledged count, not those that the kernel still holds.
    """

    def __init__(self, accepted: socket.socket, address: object, request_seconds: float, send_seconds: float) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address = address
        self.request_seconds = request_seconds
        self.send_seconds = send_seconds
        self.turns: threading.Semaphore | None = None  # one is held, except while this socket waits for the client
        self.await_request(has_begun=False)

    def await_request(self, *, has_begun: bool) -> None:
        """Starts the time of the next request. `has_begun`: a part of it has already arrived."""
        self.has_begun = has_begun
        self.when_late: Callable[[], None] | None = None  # called before RequestTimedOut is raised
        # Since when this thread has been waiting for the client. None while it is not waiting.
        self.waiting_since: float | None = None
        self._request_began = time.monotonic()
        self._block_began = 0.0
        self._sent = self._taken_before = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Returns what has arrived. Empty if the client has closed, or never sends. Raises RequestTimedOut."""
        if self.gettimeout() is not None:
            return super().recv(size, flags)  # gunicorn sets a timeout while it closes a connection
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
        """Sends all data. Raises ConnectionResetError if the client reads too slowly."""
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
        """Makes the kernel send a part of a file. Raises ConnectionResetError if the client reads too slowly."""
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
        """Resets the connection at once and drops unsent data. A thread that waits for the client continues."""
        with suppress(OSError):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.shutdown(socket.SHUT_RDWR)

    def _wait_for_space(self) -> None:
        while True:
            # The bytes that the kernel still holds for the client do not count (tcp(7), SIOCOUTQ).
            (held,) = struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, b"\0" * 4))
            now, taken = time.monotonic(), self._sent - held
            if taken - self._taken_before >= BLOCK_BYTES or not self._block_began:
                self._block_began, self._taken_before = now, taken
            left = self._block_began + self.send_seconds - now
            if left <= 0:
                logger.info("dropped a client that takes no more of its answer: %s", self.address)
                self.drop()
                raise ConnectionResetError(errno.ECONNRESET, "the client takes no more of its answer")
            if self._wait(select.POLLOUT, min(left, LOOK_SECONDS), self._block_began):
                return

    def _wait(self, event: int, seconds: float, since: float) -> bool:
        """Returns True when the client does something, False after these seconds. Other threads work meanwhile."""
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
