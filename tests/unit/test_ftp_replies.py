"""A reply of an FTP host is read within limits of lines, bytes and seconds."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from contactexport.delivery.ftp_errors import HostFault, one_line
from contactexport.delivery.ftp_passive import epsv_port, pasv_address
from contactexport.delivery.ftp_replies import MOST_BYTES, MOST_LINES, Replies


@pytest.fixture
def line() -> Iterator[tuple[Replies, socket.socket]]:
    """The reader of replies, and the host's side."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Replies(ours), theirs


def test_replies_of_one_and_of_many_lines_are_read_one_after_the_other(line):
    replies, host = line
    host.sendall(b"220 one\r\n211-Features\r\n UTF8\r\n211-more\r\n211 End\r\n5")
    host.sendall("50 Grüß\n226\r\n".encode("latin-1"))
    assert replies.read(1) == "220 one"
    assert replies.read(1) == "211-Features\n UTF8\n211-more\n211 End"
    assert replies.read(1) == "550 Gr\ufffd\ufffd"
    assert replies.read(1) == "226"


def test_a_long_greeting_is_read(line):
    replies, host = line
    host.sendall(b"220-notice\r\n" * (MOST_LINES - 1) + b"220 end\r\n")
    assert replies.read(1).endswith("\n220 end")


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
def test_a_reply_without_end_is_given_up_after_some_kilobytes(line, begin: bytes, endless: bytes):
    replies, host = line
    taken = [0]

    def talk() -> None:
        with contextlib.suppress(OSError):
            host.sendall(begin)
            while True:
                taken[0] += host.send(endless * 100)

    thread = threading.Thread(target=talk)
    thread.start()
    with pytest.raises(HostFault, match=r"^its reply has no end: 220"):
        replies.read(60)
    host.shutdown(socket.SHUT_RDWR)
    replies._sock.close()
    thread.join()
    assert taken[0] < MOST_BYTES * 20  # what lies in buffers of the system counts as well


def test_a_reply_that_drips_is_given_up_when_its_time_is_over(line):
    replies, host = line
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.02):
            host.sendall(b"2")

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            replies.read(0.3)
    finally:
        ended.set()
        thread.join()
    assert time.monotonic() - began < 10


def test_a_connection_that_is_closed_in_the_middle_ends_the_reply(line):
    replies, host = line
    host.sendall(b"220-hello\r\n22")
    host.close()
    with pytest.raises(EOFError):
        replies.read(1)


@pytest.mark.parametrize(
    "reply,address",
    [
        ("227 Entering Passive Mode (192,0,2,7,200,10).", ("192.0.2.7", 51210)),
        ("227 =192,0,2,7,0,21", ("192.0.2.7", 21)),
        ("227-x\n227 at 192, 0, 2, 7, 1, 0", ("192.0.2.7", 256)),
    ],
)
def test_an_answer_to_pasv_is_read(reply: str, address: tuple[str, int]):
    assert pasv_address(reply) == address


@pytest.mark.parametrize(
    "reply",
    [
        "227 (999,999,999,999,999,999)",
        "227 (127,0,0,1,256,1)",
        "227 (127,0,0,1,0,0)",
        "227 (127,0,0,1,1)",
        "227 (-1,-1,-1,-1,-1,-1)",
        "227 ()",
        "227",
        "200 (127,0,0,1,1,1)",
        "227 " + "9" * 60_000,
        "227 (" + ",".join(["9" * 10_000] * 6) + ")",
    ],
)
def test_an_answer_to_pasv_that_makes_no_sense_is_the_hosts_fault(reply: str):
    with pytest.raises(HostFault, match=r"^its answer to PASV cannot be understood: "):
        pasv_address(reply)


@pytest.mark.parametrize(
    "reply,port", [("229 Extended (|||6446|)", 6446), ("229 (!!!1!)", 1), ("229 (|1|192.0.2.7|65535|)", 65535)]
)
def test_an_answer_to_epsv_is_read(reply: str, port: int):
    assert epsv_port(reply) == port


@pytest.mark.parametrize(
    "reply",
    [
        "229 (|||99999|)",
        "229 (|||0|)",
        "229 (|||-1|)",
        "229 (|||x|)",
        "229 (||||)",
        "229 ()",
        "229",
        "229 (|||6446",
        "200 (|||6446|)",
        "229 (" + "|" * 60_000,
    ],
)
def test_an_answer_to_epsv_that_makes_no_sense_is_the_hosts_fault(reply: str):
    with pytest.raises(HostFault, match=r"^its answer to EPSV cannot be understood: "):
        epsv_port(reply)


def test_what_is_shown_of_a_reply_is_one_short_line_without_the_password():
    shown = one_line("550-no\n\x1b[2J geheim " + "x" * 1000, "geheim")
    assert shown.startswith("550-no ?[2J *** xxx")
    assert len(shown) == 200
