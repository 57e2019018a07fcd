"""The SFTP protocol over an open channel: what an upload needs of version 3 (draft-ietf-secsh-filexfer-02).

Writes are pipelined: many are on their way while the first one is not confirmed yet. Each of them, and the end of the
file, is confirmed by the host before an upload counts.
"""

import struct
from collections import deque
from typing import BinaryIO

from paramiko import Channel

from contactexport.delivery.sftp_errors import SftpFault, SftpRefused

INIT, VERSION, OPEN, CLOSE, WRITE = 1, 2, 3, 4, 6
REMOVE, MKDIR, STAT, RENAME = 13, 14, 17, 18
STATUS, HANDLE, ATTRS, EXTENDED = 101, 102, 105, 200
OUR_VERSION = 3
OPEN_NEW = 0x02 | 0x08 | 0x10  # write, create, truncate
SIZE_FLAG = 0x01
OK = 0
POSIX_RENAME = "posix-rename@openssh.com"
# Every host must take so many bytes in one write. More are not faster.
WRITE_BYTES = 32_768
UNCONFIRMED_WRITES = 64
MOST_REPLY_BYTES = 1 << 18
READ_BYTES = 1 << 16
_NO_ATTRIBUTES = bytes(4)


class SftpSession:
    """One session. Every method raises SftpRefused, SftpFault, EOFError and OSError. Names are sent in UTF-8."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._unread = bytearray()
        self._replies: dict[int, tuple[int, bytes]] = {}
        self._last = 0
        self._send(INIT, struct.pack(">I", OUR_VERSION))
        kind, content = self._next_packet()
        if kind != VERSION or len(content) < 4:
            raise SftpFault("its greeting is not that of SFTP")
        self.extensions = self._names_of_pairs(content[4:])

    def create(self, path: str) -> bytes:
        """Opens a file for writing, empty, and returns its handle."""
        kind, content = self._answer(self._ask(OPEN, _text(path), struct.pack(">I", OPEN_NEW), _NO_ATTRIBUTES))
        if kind != HANDLE:
            _require_ok(kind, content, f"open {path}")
            raise SftpFault("its answer to an open has no handle")
        return _string(content)

    def write(self, handle: bytes, content: BinaryIO, path: str) -> int:
        """Writes all of the content and returns the number of bytes. The host has confirmed every write then."""
        offset, waiting = 0, deque[int]()
        prefix = struct.pack(">I", len(handle)) + handle
        while block := content.read(WRITE_BYTES):
            waiting.append(self._ask(WRITE, prefix, struct.pack(">QI", offset, len(block)), block))
            offset += len(block)
            while len(waiting) >= UNCONFIRMED_WRITES or (waiting and self._channel.recv_ready()):
                _require_ok(*self._answer(waiting.popleft()), f"write {path}")
        for number in waiting:
            _require_ok(*self._answer(number), f"write {path}")
        return offset

    def close_file(self, handle: bytes, path: str) -> None:
        """Ends a file. Some hosts tell only now that they could not store it."""
        self._do(CLOSE, struct.pack(">I", len(handle)) + handle, told=f"close {path}")

    def size(self, path: str) -> int | None:
        """The size of a file, or None if the host answers without one."""
        kind, content = self._answer(self._ask(STAT, _text(path)))
        if kind != ATTRS:
            _require_ok(kind, content, f"stat {path}")
            raise SftpFault("its answer to a stat has no attributes")
        (flags,) = struct.unpack_from(">I", _at_least(content, 4))
        return int(struct.unpack_from(">Q", _at_least(content, 12), 4)[0]) if flags & SIZE_FLAG else None

    def remove(self, path: str) -> None:
        """Deletes a file."""
        self._do(REMOVE, _text(path), told=f"remove {path}")

    def make_folder(self, path: str) -> None:
        """Makes a folder."""
        self._do(MKDIR, _text(path), _NO_ATTRIBUTES, told=f"create the folder {path}")

    def rename(self, old: str, new: str) -> None:
        """Gives a file another name. Most hosts refuse a name that another file has."""
        self._do(RENAME, _text(old), _text(new), told=f"rename to {new}")

    def replace(self, old: str, new: str) -> None:
        """Gives a file another name, also if another file has it. Only for hosts with the extension POSIX_RENAME."""
        self._do(EXTENDED, _text(POSIX_RENAME), _text(old), _text(new), told=f"rename to {new}")

    def _do(self, kind: int, *parts: bytes, told: str) -> None:
        _require_ok(*self._answer(self._ask(kind, *parts)), told)

    def _ask(self, kind: int, *parts: bytes) -> int:
        self._last += 1
        self._send(kind, struct.pack(">I", self._last), *parts)
        return self._last

    def _send(self, kind: int, *parts: bytes) -> None:
        length = 1 + sum(map(len, parts))
        self._channel.sendall(b"".join((struct.pack(">IB", length, kind), *parts)))

    def _answer(self, number: int) -> tuple[int, bytes]:
        """The kind and content of the reply to a request. Hosts may answer in any order."""
        while number not in self._replies:
            kind, content = self._next_packet()
            (found,) = struct.unpack_from(">I", _at_least(content, 4))
            if not 0 < found <= self._last:
                raise SftpFault("it answers what was not asked")
            self._replies[found] = kind, content[4:]
        return self._replies.pop(number)

    def _next_packet(self) -> tuple[int, bytes]:
        while len(self._unread) < 5 or len(self._unread) < 4 + self._length():
            received = self._channel.recv(READ_BYTES)
            if not received:
                raise EOFError
            self._unread += received
        end = 4 + self._length()
        packet, self._unread = bytes(self._unread[4:end]), self._unread[end:]
        return packet[0], packet[1:]

    def _length(self) -> int:
        length = int.from_bytes(self._unread[:4])
        if not 0 < length <= MOST_REPLY_BYTES:
            raise SftpFault("its reply is not SFTP")
        return length

    @staticmethod
    def _names_of_pairs(content: bytes) -> frozenset[str]:
        names = []
        while content:
            name = _string(content)
            content = content[4 + len(name) :]
            content = content[4 + len(_string(content)) :]
            names.append(name.decode("utf-8", "replace"))
        return frozenset(names)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">I", len(encoded)) + encoded


def _at_least(content: bytes, size: int) -> bytes:
    if len(content) < size:
        raise SftpFault("its reply is too short")
    return content


def _string(content: bytes) -> bytes:
    (length,) = struct.unpack_from(">I", _at_least(content, 4))
    return _at_least(content, 4 + length)[4 : 4 + length]


def _require_ok(kind: int, content: bytes, told: str) -> None:
    if kind != STATUS:
        raise SftpFault(f"its answer to `{told}` is of the wrong kind")
    (code,) = struct.unpack_from(">I", _at_least(content, 4))
    if code != OK:
        # Some hosts leave out the text.
        text = _string(content[4:]).decode("utf-8", "replace") if len(content) >= 8 else ""
        raise SftpRefused(code, told, text)
