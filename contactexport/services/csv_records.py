"""Reads a CSV file record by record, knowing the physical line where each starts and its original bytes."""

import csv
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from contactexport.errors import UsageError

MOST_RECORD_BYTES = 1 << 24

# What csv's errors mean to somebody who looks at the file.
REASONS = {
    "unexpected end of data": 'a quote (") is opened and never closed',
    "field larger than": 'a value is longer than 131,072 characters; is a quote (") opened and never closed?',
    "expected after": 'text follows a closing quote ("); a quote inside of quotes is written twice',
    "new-line character": "a carriage return stands outside of quotes",
}


class CsvRecord(NamedTuple):
    """A record: the physical line it starts on (from 1), its cells, its bytes, and what is wrong if any."""

    line: int
    cells: list[str]
    raw: bytes
    problem: str | None


class CsvRecords(Iterator[CsvRecord]):
    """The records of a file, blank lines left out; memory stays flat.

    A broken record is returned with its problem. Raises UsageError for an unusable encoding, and when a
    record is so long that the file cannot be a CSV file.
    """

    def __init__(self, file: BinaryIO, delimiter: str, encoding: str) -> None:
        _require_usable(encoding)
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
                cells, self._problem = [], self._problem or _reason(error)
            if cells or self._problem:
                return CsvRecord(start, cells, b"".join(self._raw), self._problem)

    def _lines(self) -> Iterator[str]:
        while raw := self._file.readline(MOST_RECORD_BYTES):
            self._line += 1
            self.bytes_read += len(raw)
            self._raw_bytes += len(raw)
            if self._raw_bytes >= MOST_RECORD_BYTES:
                raise UsageError(f"line {self._line}: a record is longer than 16 MiB; is this a CSV file?")
            self._raw.append(raw)
            text = self._decode(raw)
            yield text.removeprefix("\ufeff") if self._line == 1 else text

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            self._problem = (
                f"byte 0x{raw[error.start]:02X} at position {error.start + 1} of line {self._line} is not "
                f"{self._encoding}; --encoding says how the file is written"
            )
            # Keeps quotes and delimiters, so that the record ends where it would have ended.
            return raw.decode(self._encoding, errors="backslashreplace")


def _require_usable(encoding: str) -> None:
    plain = 'a1,;\t"\r\n'
    try:
        usable = plain.encode(encoding) == plain.encode("ascii")
    except (LookupError, ValueError):
        raise UsageError(f"Unknown encoding: {encoding!r}; utf-8, latin-1 or cp1252 are common ones") from None
    if not usable:
        raise UsageError(f"A file in {encoding} cannot be read line by line: convert it, e.g. by iconv -t UTF-8")


def _reason(error: csv.Error) -> str:
    return next((reason for start, reason in REASONS.items() if start in str(error)), str(error))
