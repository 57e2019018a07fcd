"""Sends a file over a data connection and ends it: a host that takes nothing more is noticed, and so is a cut."""

import contextlib
import socket
import ssl
import struct
import termios
import threading
import time
from fcntl import ioctl
from typing import BinaryIO

BLOCK_BYTES = 1 << 18
# How often it is looked whether a host that takes nothing has had its time, as a part of that time and in seconds.
LOOK_PART = 0.1
LOOK_SECONDS = 1.0


def send(data: socket.socket, content: BinaryIO, seconds: float) -> None:
    """Hands all of the content to the kernel. Raises TimeoutError when for so many seconds it takes nothing."""
    if isinstance(data, ssl.SSLSocket):
        data.settimeout(seconds)
    else:
        _have_kernel_wait(data, min(seconds * LOOK_PART, LOOK_SECONDS))
    progress = time.monotonic()
    while block := content.read(BLOCK_BYTES):
        left = memoryview(block)
        while left:
            try:
                sent = data.send(left)
            except BlockingIOError:
                if time.monotonic() - progress >= seconds:
                    raise TimeoutError from None
                continue
            left, progress = left[sent:], time.monotonic()


def wait_until_received(data: socket.socket, seconds: float, interrupted: threading.Event) -> bool:
    """Waits until the other machine has acknowledged every byte: up to some megabytes of them are still here.

    False when the connection was cut instead. Raises TimeoutError when for so many seconds nothing is taken.
    """
    least, progress, pause = _waiting_bytes(data), time.monotonic(), 0.001
    while _is_open(data) and least:
        if interrupted.wait(pause):
            raise ConnectionAbortedError("interrupted")
        pause = min(pause * 2, seconds * LOOK_PART, LOOK_SECONDS)
        waiting = _waiting_bytes(data)
        if waiting < least:
            least, progress = waiting, time.monotonic()
        elif time.monotonic() - progress >= seconds:
            raise TimeoutError
    return not least


def end(data: socket.socket, seconds: float) -> bool:
    """Ends the connection; over TLS tells whether the other side has, too, as it should (close_notify, RFC 8446, 6.1).

    Otherwise somebody in between may have cut it, and the other side may take a part of the file for all of it.
    """
    ended = not isinstance(data, ssl.SSLSocket) or _end_tls(data, seconds)
    data.close()
    return ended


def _end_tls(data: ssl.SSLSocket, seconds: float) -> bool:
    for wait in (0.0, seconds):
        data.settimeout(wait)
        try:
            data.unwrap()
        except ssl.SSLWantReadError:
            # Our close_notify is out. Some hosts look for the end of the connection only, so they get that as well.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(data, socket.SHUT_WR)
        except ssl.SSLWantWriteError:
            continue
        except OSError:
            return False
        else:
            return True
    return False


def _have_kernel_wait(sock: socket.socket, seconds: float) -> None:
    """For a write to get on, so many seconds; then it raises BlockingIOError. Python would ask before each write."""
    whole, rest = divmod(seconds, 1)
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(whole), int(rest * 1_000_000)))


def _is_open(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def _waiting_bytes(sock: socket.socket) -> int:
    """What the other machine has not acknowledged yet; 0 where the system does not tell."""
    try:
        answer = ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("@i", answer)[0])
