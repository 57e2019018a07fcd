"""Where rows begin in a CSV file: a mark about every megabyte, so that a slice of a long file is found at once.

A line break ends a row only outside quotes; inside, an escaped quote is two, so counting quotes is enough (RFC 4180).
"""

from array import array
from bisect import bisect_right
from typing import BinaryIO

EVERYTHING_ELSE = bytes(set(range(256)) - set(b'"\n'))


class RowMarks:
    """Pairs of (row ends before, byte offset), both growing; the header is a row here."""

    def __init__(self, stored: bytes = b"") -> None:
        self._marks = array("q")
        self._marks.frombytes(stored)
        self._quoted = False
        self.row_ends = 0

    def add(self, content: bytes, offset: int) -> None:
        """Takes in the next part of the file, which begins at a byte offset."""
        quotes, ends = _quotes_and_row_ends(content, quoted=self._quoted)
        self._quoted ^= quotes % 2 == 1
        if ends:
            self.row_ends += ends
            self._marks.extend((self.row_ends, offset + _after_last_end(content, quoted=self._quoted)))

    def append(self, others: "RowMarks", offset: int) -> None:
        """Takes in the marks of whole rows that follow at a byte offset."""
        for ends, mark in zip(others._marks[0::2], others._marks[1::2], strict=True):
            self._marks.extend((self.row_ends + ends, offset + mark))
        self.row_ends += others.row_ends

    def to_bytes(self) -> bytes:
        """To be stored; the constructor takes it back."""
        return self._marks.tobytes()

    def offset_of(self, file: BinaryIO, row: int) -> int:
        """The byte at which a row begins, counted from 0; the file's size behind the last one."""
        nearest = bisect_right(self._marks[0::2], row) - 1
        ends, offset = (self._marks[2 * nearest], self._marks[2 * nearest + 1]) if nearest >= 0 else (0, 0)
        quoted = False
        file.seek(offset)
        while ends < row and (line := file.readline()):
            offset += len(line)
            quoted ^= line.count(b'"') % 2 == 1
            ends += not quoted
        return offset


def _quotes_and_row_ends(content: bytes, *, quoted: bool) -> tuple[int, int]:
    """How many quotes there are, and line breaks outside of them. Mostly quotes enclose no line break and drop out."""
    told = content.translate(None, EVERYTHING_ELSE)
    few = told.replace(b'""', b"")
    ends = sum(part.count(b"\n") for part in few.split(b'"')[int(quoted) :: 2])
    return told.count(b'"'), ends


def _after_last_end(content: bytes, *, quoted: bool) -> int:
    """How far into the content the last row end reaches; `quoted` tells whether the content ends inside quotes."""
    end = len(content)
    while (found := content.rfind(b"\n", 0, end)) >= 0:
        quoted ^= content.count(b'"', found, end) % 2 == 1
        if not quoted:
            return found + 1
        end = found
    return 0
