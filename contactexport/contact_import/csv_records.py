"""Reads the records of a CSV file, each with the line where it starts and its original bytes."""

import csv
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from contactexport.errors import UsageError

MAX_RECORD_BYTES = 1 << 24

# What the errors of the csv module mean to somebody who looks at the file.
REASONS = {
    "unexpected end of data": 'a quote (") is opened and never closed',
    "field larger than": 'a value is longer than 131,072 characters; is a quote (") opened and never closed?',
    "expected after": 'text follows a closing quote ("); a quote inside of quotes is written twice',
    "new-line character": "a carriage return stands outside of quotes",
}


class CsvRecord(NamedTuple):
    """A record: the line where it starts (from 1), its cells, its bytes, and its problem, if any."""

    line: int
    cells: list[str]
    raw: bytes
    problem: str | None


class CsvRecords(Iterator[CsvRecord]):
    """The records of a file, without blank lines. Memory stays flat.

    A broken record comes with its problem. Raises UsageError for an unusable encoding, and for a record so long that
    the file cannot be a CSV file.
    """

    def __init__(self, file: BinaryIO, delimiter: str, encoding: str) -> None:
        plain = 'a1,;\t"\r\n'
        try:
            usable = plain.encode(encoding) == plain.encode("ascii")
        except (LookupError, ValueError):
            raise UsageError(f"Unknown encoding: {encoding!r}; utf-8, latin-1 or cp1252 are common ones") from None
        if not usable:
            raise UsageError(f"A file in {encoding} cannot be read line by line: convert it, e.g. by iconv -t UTF-8")
        self.bytes_read = 0
        self._file = file
        self._encoding = encoding
        self._line = 0
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._problem: str | None = None
        self._reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)

    def __next__(self) -> CsvRecord:
        """The next record that is not blank."""
        while True:
            self._raw, self._raw_bytes, self._problem = [], 0, None
            start = self._line + 1
            try:
                cells = next(self._reader)
            except csv.Error as error:
                reasons = (reason for part, reason in REASONS.items() if part in str(error))
                cells, self._problem = [], self._problem or next(reasons, str(error))
            if cells or self._problem:
                return CsvRecord(start, cells, b"".join(self._raw), self._problem)

    def _lines(self) -> Iterator[str]:
        while raw := self._file.readline(MAX_RECORD_BYTES):
            self._line += 1
            self.bytes_read += len(raw)
            self._raw_bytes += len(raw)
            if self._raw_bytes >= MAX_RECORD_BYTES:
                raise UsageError(f"line {self._line}: a record is longer than 16 MiB; is this a CSV file?")
            self._raw.append(raw)
            try:
                text = raw.decode(self._encoding)
            except UnicodeDecodeError as error:
                self._problem = (
                    f"byte 0x{raw[error.start]:02X} at position {error.start + 1} of line {self._line} is not "
                    f"{self._encoding}; --encoding says how the file is written"
                )
                # Quotes and delimiters survive, so the record ends where it should.
                text = raw.decode(self._encoding, errors="backslashreplace")
            yield text.removeprefix("\ufeff") if self._line == 1 else text
