"""Imports contacts from a CSV file: checks every line, then creates and updates in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contactexport.db import catalogue_repository, contact_import_repository, contact_table
from contactexport.db.connection import Connection, Database
from contactexport.db.contact_import_repository import LineCounts, StagedContacts
from contactexport.errors import UsageError
from contactexport.models import Catalogue, ContactField, Origin
from contactexport.services.contact_choices import ChoiceList
from contactexport.services.contact_values import EMAIL_FIELD, value_parser
from contactexport.services.csv_records import CsvRecord, CsvRecords
from contactexport.services.import_header import FieldNames, read_header
from contactexport.services.import_rows import ImportedColumn, ImportRows
from contactexport.services.reject_file import require_writable, write_rejects

SHOWN_LINES = 20

# Is told what is being done, and the bytes of the file read so far.
OnProgress = Callable[[str, int], None]


@dataclass(frozen=True)
class ImportOrder:
    """How a file is to be imported; `key` is a field's name or id, None the e-mail address.

    `reject` is the file for bad lines; without it nothing is imported when any line is bad. With `dry_run` all is
    done and then undone.
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
    """What became of the lines; `problems` are those of the first 20 bad lines. `imported` is False if all was refused."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    problems: tuple[str, ...]
    imported: bool


def import_contacts(contacts: Database, file: BinaryIO, order: ImportOrder, on_progress: OnProgress) -> ImportResult:
    """Imports the file. Contacts that it creates get the order's origin; existing ones keep theirs.

    Raises UsageError for an unusable header, origin, key, encoding or database, ContactExportError when the database
    refuses the data; then nothing is imported.
    """
    records = CsvRecords(file, order.delimiter, order.encoding)
    if order.reject is not None:
        require_writable(order.reject)
    with contacts.transaction() as conn:
        contact_table.require_table(conn)
        catalogue = catalogue_repository.read(conn)
        _require_origin(catalogue, order)
        header = _header_record(records)
        columns = _columns(conn, catalogue, header, order)
        rows = ImportRows(
            records,
            len(header.cells),
            columns,
            keep_records=order.reject is not None,
            on_bytes=lambda count: on_progress("reading", count),
        )
        staged = _stage(conn, columns)
        staged.copy(rows)
        on_progress("comparing", records.bytes_read)
        counts = staged.match()
        on_progress("saving", records.bytes_read)
        result = _apply(staged, counts, order, header)
        if order.dry_run:
            conn.rollback()
        return result


def _apply(staged: StagedContacts, counts: LineCounts, order: ImportOrder, header: CsvRecord) -> ImportResult:
    problems = tuple(staged.problems(SHOWN_LINES))
    if counts.rejected and order.reject is None:
        return ImportResult(0, 0, 0, counts.rejected, problems, imported=False)
    updated = staged.update()
    created = staged.insert(order.origin_kind, order.origin_id)
    if counts.rejected and order.reject is not None and not order.dry_run:
        # Before the commit: a file too many does no harm, a bad line that is nowhere would.
        write_rejects(order.reject, header.raw, staged.rejected_records())
    return ImportResult(
        created, updated, counts.matched - updated, counts.rejected, problems, imported=not order.dry_run
    )


def _require_origin(catalogue: Catalogue, order: ImportOrder) -> None:
    if not catalogue.has_origin(order.origin_kind, order.origin_id):
        known = ", ".join(_shown_origin(one) for one in catalogue.origins[:SHOWN_LINES]) or "none"
        raise UsageError(f"Unknown origin: {order.origin_kind}:{order.origin_id}; known are {known}")


def _shown_origin(origin: Origin) -> str:
    return f"{origin.kind}:{origin.id} ({origin.name})"


def _header_record(records: CsvRecords) -> CsvRecord:
    header = next(records, None)
    if header is None:
        raise UsageError("The file is empty: a header line with field names or ids expected")
    if header.problem is not None:
        raise UsageError(f"line {header.line}: {header.problem}")
    return header


def _stage(conn: Connection, columns: list[ImportedColumn]) -> StagedContacts:
    key = next(one for one in columns if one.is_key)
    return StagedContacts(
        conn, [one.column_name for one in columns], key.column_name, key.label, ignore_case=key.ignores_case
    )


def _columns(
    conn: Connection, catalogue: Catalogue, header: CsvRecord, order: ImportOrder
) -> list[ImportedColumn]:
    names = FieldNames(catalogue)
    key = _key_field(catalogue, names, order.key)
    fields = read_header(header.cells, names)
    if key not in fields:
        raise UsageError(f'The header lacks the key "{key.name}": add its column, or name another field with --key')
    of_table = contact_import_repository.list_columns(conn)
    ...
