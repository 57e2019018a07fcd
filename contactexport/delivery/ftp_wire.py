"""What goes over the two connections of an FTP session: the texts of replies, and the content of a file.

The replies to PASV (RFC 959) and EPSV (RFC 2428) say where the host expects data. A host that stops reading the file is
detected, and so is a cut.
"""

import contextlib
import re
import socket
import ssl
import struct
import termios
import threading
import time
from fcntl import ioctl
from typing import BinaryIO

LONGEST_SHOWN = 200
HIGHEST_PORT = 65_535
LOOKED_AT = 500  # characters of a reply, because the time of the search grows with their square
BLOCK_BYTES = 1 << 18
# How often the timeout of a host that reads nothing is checked, as a part of the timeout and in seconds.
LOOK_PART = 0.1
LOOK_SECONDS = 1.0

_PASV = re.compile(r"227\D.*?(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)", re.ASCII | re.DOTALL)
_EPSV = re.compile(r"229\D.*?\(([!-~])[^()]*?\1[^()]*?\1(\d{1,5})\1\)", re.ASCII | re.DOTALL)


class HostFault(Exception):
    """The host violates the protocol, so the session ends. The text says how, and shows its reply."""


def pasv_address(reply: str) -> tuple[str, int]:
    """Returns address and port of a reply to PASV. Raises HostFault."""
    found = _PASV.match(reply[:LOOKED_AT])
    numbers = [int(number[:4]) for number in found.groups()] if found else []
    if not numbers or max(numbers) > 255 or numbers[4:] == [0, 0]:
        raise HostFault(f"its answer to PASV cannot be understood: {reply}")
    return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]


def epsv_port(reply: str) -> int:
    """Returns the port of a reply to EPSV. Raises HostFault."""
    found = _EPSV.match(reply[:LOOKED_AT])
    if not found or not 1 <= int(found[2]) <= HIGHEST_PORT:
        raise HostFault(f"its answer to EPSV cannot be understood: {reply}")
    return int(found[2])


def one_line(text: str, password: str, longest: int = LONGEST_SHOWN) -> str:
    """Returns a reply that may be shown and stored. Hosts may repeat the command, and so the password."""
    shown = " ".join((text.replace(password, "***") if password else text).split())
    return "".join(sign if sign.isprintable() else "?" for sign in shown)[:longest]  # Postgres does not store NUL


def send(data: socket.socket, content: BinaryIO, seconds: float) -> None:
    """Passes the whole content to the kernel. Raises TimeoutError if it takes nothing for these seconds."""
    if isinstance(data, ssl.SSLSocket):
        data.settimeout(seconds)
    else:
        # The kernel waits for a write, and then raises BlockingIOError. A timeout of Python calls poll before each one.
        whole, rest = divmod(min(seconds * LOOK_PART, LOOK_SECONDS), 1)
        data.settimeout(None)
        data.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(whole), int(rest * 1_000_000)))
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
    """Waits until the other machine has acknowledged every byte. Up to some megabytes are still buffered here.

    False if the connection was cut. Raises TimeoutError if nothing is acknowledged for these seconds.
    """
    least: int | None = None
    progress, pause = time.monotonic(), 0.001
    while True:
        try:
            waiting = int(struct.unpack("@i", ioctl(data.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
        except OSError:  # the system does not know
            waiting = 0
        if waiting == 0:
            return True
        if data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            return False
        if least is None or waiting < least:
            least, progress = waiting, time.monotonic()
        elif time.monotonic() - progress >= seconds:
            raise TimeoutError
        if interrupted.wait(pause):
            raise ConnectionAbortedError("interrupted")
        pause = min(pause * 2, seconds * LOOK_PART, LOOK_SECONDS)


def end_tls(data: ssl.SSLSocket, seconds: float) -> bool:
    """Ends TLS. Tells whether the other side ended it properly as well (close_notify, RFC 8446, 6.1).

    If not, somebody in between may have cut it, and the other side may take a part of the file for the whole.
    """
    for wait in (0.0, seconds):
        data.settimeout(wait)
        try:
            data.unwrap()
        except ssl.SSLWantReadError:
            # Our close_notify is sent. Some hosts only look for the end of the connection, so it is ended as well.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(data, socket.SHUT_WR)
        except ssl.SSLWantWriteError:
            continue
        except OSError:
            return False
        else:
            return True
    return False
