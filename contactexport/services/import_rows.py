"""Checks the records of an import and streams them to COPY, good and bad ones alike."""

import csv
import io
from collections.abc import Callable, Iterator

from contactexport.services.csv_records import CsvRecord, CsvRecords
from contactexport.services.import_columns import ImportedColumn

BLOCK_CHARACTERS = 1 << 16


class ImportRows:
    """The rows for the staging table, as the file object that COPY reads; memory stays flat.

    `on_bytes` is told the bytes read of the file so far. `keep_records` stores every original record, for a
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
        """The next block, of any size: psycopg2 sends on what it gets."""
        try:
            return next(self._blocks, b"")
        except BaseException as error:
            self.failure = error
            raise

    def _make_blocks(self) -> Iterator[bytes]:
        block = io.StringIO()
        writer = csv.writer(block)
        for record in self._records:
            writer.writerow(self._row(record))
            if block.tell() >= BLOCK_CHARACTERS:
                yield self._finished(block)
        yield self._finished(block)

    def _finished(self, block: io.StringIO) -> bytes:
        self._on_bytes(self._records.bytes_read)
        made = block.getvalue().encode()
        block.seek(0)
        block.truncate()
        return made

    def _row(self, record: CsvRecord) -> list[object]:
        values, problems = self._checked(record)
        kept = "\\x" + record.raw.hex() if self._keep_records else None
        return [record.line, "\n".join(problems) or None, kept, *values]

    def _checked(self, record: CsvRecord) -> tuple[list[str | None], list[str]]:
        problem = record.problem
        if problem is None and len(record.cells) != self._width:
            problem = f"{_cells(len(record.cells))}, {self._width} expected"
        if problem is not None:
            return [None] * len(self._columns), [f"line {record.line}: {problem}"]
        values: list[str | None] = []
        problems: list[str] = []
        for column in self._columns:
            try:
                values.append(_value(column, record.cells[column.position]))
            except ValueError as error:
                values.append(None)
                problems.append(f'line {record.line}, column "{column.label}": {error}')
        return values, problems


def _value(column: ImportedColumn, cell: str) -> str | None:
    value = column.parse(cell.strip() if column.is_key else cell)
    if value is None and column.is_key:
        raise ValueError("the key is empty")
    if value is None and column.required:
        raise ValueError("it must not be empty")
    return value


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
