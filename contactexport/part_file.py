"""What an attempt writes before its file is complete: one stream, or several pieces at once that are joined in order.

Rows come one at a time, by the million: they are gathered in C, and Python sees a megabyte at a time.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from contactexport.row_marks import RowMarks

BUFFER_BYTES = 1 << 20
# Waiting at the end for the disk to take everything costs a large export a few hundredths of its time.
FLUSHED_BYTES = 16 << 20


class Piece(io.BufferedWriter):
    """A part of a file, with its bytes counted and its rows marked, a buffer at a time."""

    def __init__(self, descriptor: int, tell: Callable[[], None]) -> None:
        self.written = _Written(descriptor, tell)
        super().__init__(self.written, BUFFER_BYTES)

    @property
    def rows(self) -> int:
        """The rows that have left the buffer, the header among them."""
        return self.written.marks.row_ends


class PartFile(Piece):
    """The file itself, of which the first part is written directly and pieces are appended; hashed on the way.

    `on_rows` is told the rows written so far, those of pieces among them. Everything may raise OSError.
    """

    def __init__(self, path: Path, on_rows: Callable[[int], None]) -> None:
        self._path = path
        self._on_rows = on_rows
        self._pieces: list[Piece] = []
        self._on_disk = 0
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), self._tell)
        self.written.digest = hashlib.sha256()

    @cached_property
    def _buffer(self) -> bytearray:
        """Kept: a new megabyte for each block, between all that other threads ask for and give back, leaves gaps in the
        memory of the process into which nothing fits, 25 MB of them in an export of ten million rows.
        """
        return bytearray(BUFFER_BYTES)

    def new_piece(self) -> Piece:
        """A piece to be written meanwhile; it has no name in the folder, or one that ends in .part for a moment.

        A process that is killed leaves nothing of it.
        """
        with tempfile.TemporaryFile(
            dir=self._path.parent, prefix=f"{self._path.stem}.", suffix=self._path.suffix, buffering=0
        ) as nameless:
            piece = Piece(os.dup(nameless.fileno()), self._tell)
        self._pieces.append(piece)
        return piece

    def flush_early(self) -> None:
        """Has the disk take what has been written, if that is much; others may write meanwhile."""
        written = self.written.bytes
        if written - self._on_disk >= FLUSHED_BYTES:
            os.fdatasync(self.fileno())
            self._on_disk = written

    def take_over(self, piece: Piece) -> None:
        """Adds to the end what has been written of the next piece so far; it may still be written to."""
        self.flush()
        self.written.take_over(piece.written, self._buffer)

    def append(self, piece: Piece) -> None:
        """Adds the rest of the next piece, which is complete, and where its rows begin."""
        piece.flush()
        self.take_over(piece)
        self.written.marks.append(piece.written.marks, self.written.bytes - piece.written.bytes)
        self._pieces.remove(piece)

    def sync(self) -> None:
        """Returns when everything is on the disk."""
        self.flush()
        os.fsync(self.fileno())

    def _tell(self) -> None:
        self._on_rows(self.rows + sum(piece.rows for piece in self._pieces))


class _Written(io.FileIO):
    """What has left the buffer: its bytes, where rows begin, and its hash if it is wanted."""

    def __init__(self, descriptor: int, tell: Callable[[], None]) -> None:
        super().__init__(descriptor, "r+")
        self.bytes = 0
        self.marks = RowMarks()
        self.digest: Any = None
        self._taken = 0
        self._tell = tell

    def write(self, data: Any) -> int:
        written = super().write(data) or 0
        content = bytes(memoryview(data)[:written])
        if self.digest is not None:
            self.digest.update(content)
        self.marks.add(content, self.bytes)
        self.bytes += written
        self._tell()
        return written

    def take_over(self, piece: "_Written", buffer: bytearray) -> None:
        for block in piece.blocks(buffer):
            self.digest.update(block)
            self.bytes += len(block)
            while block:
                block = block[super().write(block) :]

    def blocks(self, buffer: bytearray) -> Iterator[memoryview]:
        """What has been written and was not taken before, one block after the other in the same buffer."""
        while size := os.preadv(self.fileno(), [buffer], self._taken):
            self._taken += size
            yield memoryview(buffer)[:size]
