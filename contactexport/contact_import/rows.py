"""Checks the records of a file and streams them to COPY, good and bad ones alike."""

import csv
import io
from collections.abc import Callable, Iterator

from contactexport.contact_import.columns import ImportedColumn
from contactexport.contact_import.csv_records import CsvRecord, CsvRecords

BLOCK_CHARACTERS = 1 << 16


class ImportRows:
    """The rows of the staging table, as the file object that COPY reads. Memory stays flat.

    `on_bytes` is called with the number of bytes read so far. `keep_records` also stages every original record, for the
    reject file.
    """

    def __init__(
        self,
        records: CsvRecords,
        width: int,
        columns: list[ImportedColumn],
        *,
        keep_records: bool,
        on_bytes: Callable[[int], None],
    ) -> None:
        self.failure: BaseException | None = None
        self._records = records
        self._width = width
        self._columns = columns
        self._keep_records = keep_records
        self._on_bytes = on_bytes
        self._blocks = self._make_blocks()

    def read(self, _size: int = -1) -> bytes:
        """The next block. It may have any size: psycopg2 sends what it gets."""
        try:
            return next(self._blocks, b"")
        except BaseException as error:
            self.failure = error
            raise

    def _make_blocks(self) -> Iterator[bytes]:
        block = io.StringIO()
        writer = csv.writer(block)
        for record in self._records:
            values, problems = self._checked(record)
            original = "\\x" + record.raw.hex() if self._keep_records else None
            writer.writerow([record.line, "\n".join(problems) or None, original, *values])
            if block.tell() >= BLOCK_CHARACTERS:
                yield self._finished(block)
        yield self._finished(block)

    def _finished(self, block: io.StringIO) -> bytes:
        self._on_bytes(self._records.bytes_read)
        made = block.getvalue().encode()
        block.seek(0)
        block.truncate()
        return made

    def _checked(self, record: CsvRecord) -> tuple[list[str | None], list[str]]:
        problem = record.problem
        if problem is None and len(record.cells) != self._width:
            cells = "1 cell" if len(record.cells) == 1 else f"{len(record.cells)} cells"
            problem = f"{cells}, {self._width} expected"
        if problem is not None:
            return [None] * len(self._columns), [f"line {record.line}: {problem}"]
        values: list[str | None] = []
        problems: list[str] = []
        for column in self._columns:
            cell = record.cells[column.position]
            value = problem = None
            try:
                value = column.parse(cell.strip() if column.is_key else cell)
            except ValueError as error:
                problem = str(error)
            else:
                if value is None and (column.is_key or column.required):
                    problem = "the key is empty" if column.is_key else "it must not be empty"
            values.append(value)
            if problem is not None:
                problems.append(f'line {record.line}, column "{column.label}": {problem}')
        return values, problems
