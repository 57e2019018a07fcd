"""Writes the temporary file of an attempt, from segments that are written in parallel and copied in order.

Rows come one at a time, by the million. They are buffered in C, and Python sees a megabyte at a time. For each of them
the row index gets an entry, so that a slice of a long file is found at once. A line break ends a row only outside
quotes. An escaped quote is two quotes, so counting them is enough (RFC 4180).
"""

import hashlib
import io
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from contactexport import crash_points

BUFFER_BYTES = 1 << 20
# A large export that syncs only at the end waits there for a few hundredths of its time.
SYNC_BYTES = 16 << 20
EVERYTHING_ELSE = bytes(set(range(256)) - set(b'"\n'))


class RowIndex:
    """Pairs of (row ends before, byte offset), both ascending. The header counts as a row.

    >>> import io
    >>> index = RowIndex()
    >>> index.add(b"id,name\\n1,Anna\\n2,Bo\\n", 0)
    >>> index.offset_of(io.BytesIO(b"id,name\\n1,Anna\\n2,Bo\\n"), 1)
    8
    """

    def __init__(self, stored: bytes = b"") -> None:
        self._entries = array("q")
        self._entries.frombytes(stored)
        self._in_quotes = False
        self.row_ends = 0

    def add(self, content: bytes, offset: int) -> None:
        """Indexes the next part of the file, which begins at a byte offset."""
        quotes_and_breaks = content.translate(None, EVERYTHING_ELSE)
        # Most pairs of quotes enclose no line break. Without them there is little left to split.
        shortened = quotes_and_breaks.replace(b'""', b"")
        unquoted_parts = shortened.split(b'"')[int(self._in_quotes) :: 2]
        row_ends = sum(part.count(b"\n") for part in unquoted_parts)
        self._in_quotes ^= quotes_and_breaks.count(b'"') % 2 == 1
        if not row_ends:
            return
        # Searches backwards for the last row end, from inside or outside quotes.
        in_quotes, end = self._in_quotes, len(content)
        while (line_break := content.rfind(b"\n", 0, end)) >= 0:
            in_quotes ^= content.count(b'"', line_break, end) % 2 == 1
            end = line_break
            if not in_quotes:
                break
        self.row_ends += row_ends
        self._entries.extend((self.row_ends, offset + end + 1))

    def append(self, other: "RowIndex", offset: int) -> None:
        """Adds the index of whole rows that follow at a byte offset."""
        for row_ends, entry_offset in zip(other._entries[0::2], other._entries[1::2], strict=True):
            self._entries.extend((self.row_ends + row_ends, offset + entry_offset))
        self.row_ends += other.row_ends

    def to_bytes(self) -> bytes:
        """The form to store. The constructor reads it."""
        return self._entries.tobytes()

    def offset_of(self, file: BinaryIO, row: int) -> int:
        """The byte offset at which a row begins, counted from 0. After the last row it is the size of the file."""
        nearest = bisect_right(self._entries[0::2], row) - 1
        row_ends, offset = (self._entries[2 * nearest], self._entries[2 * nearest + 1]) if nearest >= 0 else (0, 0)
        in_quotes = False
        file.seek(offset)
        while row_ends < row and (line := file.readline()):
            offset += len(line)
            in_quotes ^= line.count(b'"') % 2 == 1
            row_ends += not in_quotes
        return offset


class RowsFile(io.BufferedWriter):
    """What the rows of an export are written to. Segments are for storages that join them."""

    def flush_early(self) -> None:
        """Passes on what else would have to wait for the end. Other threads may write meanwhile."""

    def new_segment(self) -> "Segment":
        """The segment after those that exist, to be written in parallel and then appended."""
        raise NotImplementedError

    def copy_from(self, segment: "Segment") -> None:
        """Copies what the next segment has flushed since the last copy. The segment may still be written to."""
        raise NotImplementedError

    def append(self, segment: "Segment") -> None:
        """Copies the rest of the next segment, which is complete, and its row index."""
        raise NotImplementedError


class Segment(io.BufferedWriter):
    """A part of a file. `flushed` has the size, the row index and the hash of what has left the buffer."""

    def __init__(self, descriptor: int, on_flush: Callable[[], None]) -> None:
        self.flushed = _HashingFile(descriptor, on_flush)
        super().__init__(self.flushed, BUFFER_BYTES)


class PartFile(Segment, RowsFile):
    """The `.part` file of an attempt, hashed as it grows. It is the first segment, and the others are appended to it.

    `on_rows` is called with the rows written so far, those in other segments included. Every method may raise OSError.
    """

    def __init__(self, path: Path, attempt: int, on_rows: Callable[[int], None] | None = None) -> None:
        self._path = path
        self._attempt = attempt
        self._on_rows = on_rows
        self._segments: list[Segment] = []
        self._synced_bytes = 0
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), self._report_rows)
        self.flushed.digest = hashlib.sha256()

    @cached_property
    def _copy_buffer(self) -> bytearray:
        """Reused: a new megabyte for each block fragments memory, by 25 MB in an export of ten million rows."""
        return bytearray(BUFFER_BYTES)

    def new_segment(self) -> Segment:
        """The segment after those that exist, to be written in parallel and then appended.

        It has no name in the folder, or one that ends in .part for a moment. So a killed process leaves nothing behind.
        """
        with tempfile.TemporaryFile(
            dir=self._path.parent, prefix=f"{self._path.stem}.", suffix=self._path.suffix, buffering=0
        ) as nameless:
            segment = Segment(os.dup(nameless.fileno()), self._report_rows)
        self._segments.append(segment)
        return segment

    def flush_early(self) -> None:
        """Syncs to disk if much has been written since the last time. Other threads may write meanwhile."""
        flushed_bytes = self.flushed.bytes
        if flushed_bytes - self._synced_bytes >= SYNC_BYTES:
            os.fdatasync(self.fileno())
            self._synced_bytes = flushed_bytes

    def copy_from(self, segment: Segment) -> None:
        """Copies what the next segment has flushed since the last copy. The segment may still be written to."""
        self.flush()
        self.flushed.copy_from(segment.flushed, self._copy_buffer)

    def append(self, segment: Segment) -> None:
        """Copies the rest of the next segment, which is complete, and its row index."""
        segment.flush()
        self.copy_from(segment)
        self.flushed.row_index.append(segment.flushed.row_index, self.flushed.bytes - segment.flushed.bytes)
        self._segments.remove(segment)

    def _report_rows(self) -> None:
        crash_points.reach("rows half written", self._attempt)
        if self._on_rows is not None:
            self._on_rows(sum(segment.flushed.row_index.row_ends for segment in (self, *self._segments)))


class _HashingFile(io.FileIO):
    """Counts and indexes what is written, and hashes it if `digest` is set."""

    def __init__(self, descriptor: int, on_flush: Callable[[], None]) -> None:
        super().__init__(descriptor, "r+")
        self.bytes = 0
        self.row_index = RowIndex()
        self.digest: Any = None
        self._copied_bytes = 0
        self._on_flush = on_flush

    def write(self, data: Any) -> int:
        written = super().write(data) or 0
        content = bytes(memoryview(data)[:written])
        if self.digest is not None:
            self.digest.update(content)
        self.row_index.add(content, self.bytes)
        self.bytes += written
        self._on_flush()
        return written

    def copy_from(self, segment: "_HashingFile", buffer: bytearray) -> None:
        for block in segment.uncopied_blocks(buffer):
            self.digest.update(block)
            self.bytes += len(block)
            while block:
                block = block[super().write(block) :]

    def uncopied_blocks(self, buffer: bytearray) -> Iterator[memoryview]:
        """What has been written since the last copy, one block after the other in the same buffer."""
        while size := os.preadv(self.fileno(), [buffer], self._copied_bytes):
            self._copied_bytes += size
            yield memoryview(buffer)[:size]
