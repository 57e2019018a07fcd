"""contactexport.delivery.ftp_connection: a reply is read within limits of lines, bytes and seconds."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from contactexport.delivery.ftp_connection import MAX_BYTES, MAX_LINES, FtpConnection
from contactexport.delivery.ftp_wire import HostFault
from contactexport.delivery.host_traits import HostTraits


@pytest.fixture
def line() -> Iterator[tuple[FtpConnection, socket.socket]]:
    """Returns a connection, and the socket of the host."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ftp = FtpConnection(None, 1, HostTraits(), lambda *_: None)
        ftp.sock = ftp._control = ours
        yield ftp, theirs


def test_replies_of_one_and_many_lines_are_read_in_order(line):
    ftp, host = line
    host.sendall(b"220 one\r\n211-Features\r\n UTF8\r\n211-more\r\n211 End\r\n5")
    host.sendall("50 Grüß\n226\r\n".encode("latin-1"))
    assert ftp.getmultiline() == "220 one"
    assert ftp.getmultiline() == "211-Features\n UTF8\n211-more\n211 End"
    assert ftp.getmultiline() == "550 Gr\ufffd\ufffd"
    assert ftp.getmultiline() == "226"


def test_long_greeting_is_read(line):
    ftp, host = line
    host.sendall(b"220-notice\r\n" * (MAX_LINES - 1) + b"220 end\r\n")
    assert ftp.getmultiline().endswith("\n220 end")


@pytest.mark.parametrize(
    "begin,endless",
    [
        (b"220-\r\n", b"220-hello\r\n"),
        (b"220-\r\n", b"\r\n"),
        (b"220-\r\n", b"220-" + 1000 * b"x" + b"\r\n"),
        (b"220-\r\n", b"no end of the line "),
        (b"220 ", b"no end of the line "),
        (b"220 ", b"\0"),
    ],
)
def test_endless_reply_is_given_up_after_some_kilobytes(line, begin: bytes, endless: bytes):
    ftp, host = line
    ftp.reply_seconds = 60
    taken = [0]

    def talk() -> None:
        with contextlib.suppress(OSError):
            host.sendall(begin)
            while True:
                taken[0] += host.send(endless * 100)

    thread = threading.Thread(target=talk)
    thread.start()
    with pytest.raises(HostFault, match=r"^its reply has no end: 220"):
        ftp.getmultiline()
    host.shutdown(socket.SHUT_RDWR)
    ftp.close()
    thread.join()
    assert taken[0] < MAX_BYTES * 20  # what lies in buffers of the system counts as well


def test_dripping_reply_is_given_up_at_timeout(line):
    ftp, host = line
    ftp.reply_seconds = 0.3
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.02):
            host.sendall(b"2")

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            ftp.getmultiline()
    finally:
        ended.set()
        thread.join()
    assert time.monotonic() - began < 10


def test_closed_connection_ends_reply(line):
    ftp, host = line
    host.sendall(b"220-hello\r\n22")
    host.close()
    with pytest.raises(EOFError):
        ftp.getmultiline()
