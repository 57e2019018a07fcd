"""Reads the replies of an FTP host (RFC 959, 4.2), each within limits: of some there is no end."""

import socket
import time

from contactexport.delivery.ftp_errors import HostFault

# The longest known ones are greetings with a legal notice and lists of features: some 100 lines, a few KB.
MOST_LINES = 1000
MOST_BYTES = 65_536
READ_BYTES = 4096
SHOWN_BYTES = 100


class Replies:
    """The replies that come on one control connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unread = b""

    def read(self, seconds: float) -> str:
        """The next reply, its lines joined by newlines; the whole of it must be there after so many seconds.

        Raises HostFault when it has no end, TimeoutError, EOFError and OSError.
        """
        deadline = time.monotonic() + seconds
        lines = [self._line(deadline, MOST_BYTES, b"")]
        size, code = len(lines[0]), lines[0][:3]
        while lines[0][3:4] == b"-" and (len(lines) == 1 or lines[-1][:3] != code or lines[-1][3:4] == b"-"):
            if len(lines) == MOST_LINES:
                raise _endless(lines[0])
            lines.append(self._line(deadline, MOST_BYTES - size, lines[0]))
            size += len(lines[-1]) + 1
        return b"\n".join(lines).decode("utf-8", "replace")

    def _line(self, deadline: float, most: int, first: bytes) -> bytes:
        while b"\n" not in self._unread:
            if len(self._unread) > most:
                raise _endless(first or self._unread)
            self._unread += self._received(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        return line.rstrip(b"\r")

    def _received(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        received = self._sock.recv(READ_BYTES)
        if not received:
            raise EOFError
        return received


def _endless(begin: bytes) -> HostFault:
    return HostFault(f"its reply has no end: {begin[:SHOWN_BYTES].decode('utf-8', 'replace')}")
