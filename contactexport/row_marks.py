"""Where rows begin in a CSV file: a mark about every megabyte, so that a slice of a long file is found at once.

A line break ends a row only outside quotes; inside, an escaped quote is two, so counting quotes is enough (RFC 4180).
"""

from array import array
from bisect import bisect_right
from pathlib import Path


class RowMarks:
    """Pairs of (row ends before, byte offset), both growing; the header is a row here."""

    def __init__(self, stored: bytes = b"") -> None:
        self._marks = array("q")
        self._marks.frombytes(stored)
        self._quoted = False
        self.row_ends = 0

    def add(self, content: bytes, offset: int) -> None:
        """Takes in the next part of the file, which begins at a byte offset."""
        parts = content.split(b'"')
        outside = slice(int(self._quoted), None, 2)
        ends = sum(part.count(b"\n") for part in parts[outside])
        if ends:
            self.row_ends += ends
            self._marks.extend((self.row_ends, offset + _after_last_end(parts, quoted=self._quoted)))
        self._quoted ^= len(parts) % 2 == 0

    def to_bytes(self) -> bytes:
        """To be stored; the constructor takes it back."""
        return self._marks.tobytes()

    def offset_of(self, file: Path, row: int) -> int:
        """The byte at which a row begins, counted from 0; the file's size behind the last one."""
        nearest = bisect_right(self._marks[0::2], row) - 1
        ends, offset = (self._marks[2 * nearest], self._marks[2 * nearest + 1]) if nearest >= 0 else (0, 0)
        quoted = False
        with file.open("rb") as lines:
            lines.seek(offset)
            while ends < row and (line := lines.readline()):
                offset += len(line)
                quoted ^= line.count(b'"') % 2 == 1
                ends += not quoted
        return offset


def _after_last_end(parts: list[bytes], *, quoted: bool) -> int:
    """How far into the content the last row end reaches, counted from its beginning."""
    position = sum(map(len, parts)) + len(parts) - 1
    for number in range(len(parts) - 1, -1, -1):
        position -= len(parts[number])
        found = parts[number].rfind(b"\n")
        if found >= 0 and number % 2 == int(quoted):
            return position + found + 1
        position -= 1
    return 0
