"""Imports contacts from a CSV file: checks every line, then updates and creates in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contactexport.db import catalogue_repository, contact_table
from contactexport.db.connection import Connection, Database
from contactexport.db.contact_import_repository import LineCounts, StagedContacts
from contactexport.errors import UsageError
from contactexport.models import Catalogue
from contactexport.services.csv_records import CsvRecord, CsvRecords
from contactexport.services.import_columns import ImportedColumn, plan_columns
from contactexport.services.import_rows import ImportRows
from contactexport.services.reject_file import require_writable, write_rejects

SHOWN_LINES = 20

# Is told what is being done, and the bytes of the file read so far.
OnProgress = Callable[[str, int], None]


@dataclass(frozen=True)
class ImportOrder:
    """How a file is to be imported; `key` is a field's name or id, None the e-mail address.

    `reject` is the file for bad lines; without it nothing is imported when any line is bad. With `dry_run`
    all is done and then undone, and no reject file is written.
    """

    origin_kind: str
    origin_id: int
    key: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    reject: Path | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class ImportResult:
    """What became of the records of the file; `problems` are those of the first 20 bad ones.

    `refused` is True when bad lines kept everything from being imported.
    """

    created: int
    updated: int
    unchanged: int
    rejected: int
    problems: tuple[str, ...]
    refused: bool


def import_contacts(contacts: Database, file: BinaryIO, order: ImportOrder, on_progress: OnProgress) -> ImportResult:
    """Imports the file. Contacts that it creates get the order's origin; existing ones keep theirs.

    Raises UsageError when header, origin, key, encoding or database cannot be used, ContactExportError when
    the database refuses the data; then nothing is imported.
    """
    records = CsvRecords(file, order.delimiter, order.encoding)
    if order.reject is not None:
        require_writable(order.reject)
    with contacts.transaction() as conn:
        contact_table.require_table(conn)
        catalogue = catalogue_repository.read(conn)
        _require_origin(catalogue, order)
        header = _read_header_record(records)
        columns = plan_columns(conn, catalogue, header.cells, order.key)
        staged = _stage(conn, columns)
        staged.copy(_rows(records, header, columns, order, on_progress))
        result = _apply(staged, header, order, lambda doing: on_progress(doing, records.bytes_read))
        if order.dry_run:
            conn.rollback()
        return result


def _require_origin(catalogue: Catalogue, order: ImportOrder) -> None:
    if not catalogue.has_origin(order.origin_kind, order.origin_id):
        known = ", ".join(f"{one.kind}:{one.id} ({one.name})" for one in catalogue.origins[:SHOWN_LINES])
        none = "none (`flask contacts sample --contacts 0` loads the sample catalogue)"
        raise UsageError(f"Unknown origin: {order.origin_kind}:{order.origin_id}; known are: {known or none}")


def _read_header_record(records: CsvRecords) -> CsvRecord:
    header = next(records, None)
    if header is None:
        raise UsageError("The file is empty: a header line with field names or ids expected")
    if header.problem is not None:
        raise UsageError(f"line {header.line}: {header.problem}")
    return header


def _stage(conn: Connection, columns: list[ImportedColumn]) -> StagedContacts:
    key = next(one for one in columns if one.is_key)
    names = [one.column_name for one in columns]
    return StagedContacts(conn, names, key.column_name, key.label, ignore_case=key.ignore_case)


def _rows(
    records: CsvRecords,
    header: CsvRecord,
    columns: list[ImportedColumn],
    order: ImportOrder,
    on_progress: OnProgress,
) -> ImportRows:
    return ImportRows(
        records,
        len(header.cells),
        columns,
        keep_records=order.reject is not None,
        on_bytes=lambda count: on_progress("reading", count),
    )


def _apply(
    staged: StagedContacts, header: CsvRecord, order: ImportOrder, on_phase: Callable[[str], None]
) -> ImportResult:
    on_phase("comparing")
    counts = staged.match()
    problems = tuple(staged.problems(SHOWN_LINES))
    if counts.rejected and order.reject is None:
        return ImportResult(0, 0, 0, counts.rejected, problems, refused=True)
    on_phase("saving")
    updated = staged.update()
    created = staged.insert(order.origin_kind, order.origin_id)
    _keep_rejects(staged, counts, header, order)
    return ImportResult(created, updated, counts.matched - updated, counts.rejected, problems, refused=False)


def _keep_rejects(staged: StagedContacts, counts: LineCounts, header: CsvRecord, order: ImportOrder) -> None:
    # Before the commit: should that fail, the file is one too many; after it, bad lines could end up nowhere.
    if counts.rejected and order.reject is not None and not order.dry_run:
        write_rejects(order.reject, header.raw, staged.rejected_records())
