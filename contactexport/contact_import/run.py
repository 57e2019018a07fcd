"""Imports contacts from a CSV file: checks every line, then updates and creates contacts in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contactexport.catalogue import Catalogue
from contactexport.contact_import.columns import plan_columns
from contactexport.contact_import.create_missing import create_missing
from contactexport.contact_import.csv_records import CsvRecord, CsvRecords
from contactexport.contact_import.header import FieldNames
from contactexport.contact_import.reject_file import require_writable, write_rejects
from contactexport.contact_import.rows import ImportRows
from contactexport.contact_import.store import StagedContacts
from contactexport.contacts import table
from contactexport.db.connection import Database
from contactexport.errors import UsageError

SHOWN_LINES = 20

# Called with the current step, and the bytes of the file read so far.
OnProgress = Callable[[str, int], None]


@dataclass(frozen=True)
class ImportOrder:
    """How to import a file. `key` is a field's name or id, None is the e-mail address.

    `reject` is the file for bad lines. Without it, a single bad line refuses the whole import. `dry_run` does
    everything and rolls it back. It writes no reject file. `create_fields` creates the fields of the header and the
    origin if the catalogue lacks them.
    """

    origin_kind: str
    origin_id: int
    key: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    reject: Path | None = None
    dry_run: bool = False
    create_fields: bool = False


@dataclass(frozen=True)
class ImportResult:
    """What became of the lines of the file. `problems` are those of the first SHOWN_LINES bad ones.

    `refused`: nothing was imported, because of bad lines.
    """

    created: int
    updated: int
    unchanged: int
    rejected: int
    problems: tuple[str, ...]
    refused: bool


def import_contacts(contacts: Database, file: BinaryIO, order: ImportOrder, on_progress: OnProgress) -> ImportResult:
    """Imports the file. Contacts that it creates get the order's origin. Existing ones keep theirs.

    Raises UsageError if header, origin, key, encoding or database cannot be used. Raises ContactExportError if the
    database refuses the data. Either way nothing is imported.
    """
    records = CsvRecords(file, order.delimiter, order.encoding)
    if order.reject is not None:
        require_writable(order.reject)
    with contacts.transaction() as conn:
        table.require_table(conn)
        catalogue = Catalogue.read(conn)
        if not (order.create_fields or catalogue.has_origin(order.origin_kind, order.origin_id)):
            known = ", ".join(f"{one.kind}:{one.id} ({one.name})" for one in catalogue.origins[:SHOWN_LINES])
            none = "none (`flask origins add` adds one, and --create-fields creates it)"
            raise UsageError(f"Unknown origin: {order.origin_kind}:{order.origin_id}; known are: {known or none}")
        header = next(records, None)
        if header is None:
            raise UsageError("The file is empty: it needs a header line with field names or ids")
        if header.problem is not None:
            raise UsageError(f"line {header.line}: {header.problem}")
        if order.create_fields:
            catalogue = create_missing(conn, catalogue, (order.origin_kind, order.origin_id), header.cells)
        names = FieldNames(catalogue, other_programs=order.create_fields)
        columns = plan_columns(conn, names, header.cells, order.key)
        key = next(one for one in columns if one.is_key)
        column_names = [one.column_name for one in columns]
        staged = StagedContacts(conn, column_names, key.column_name, key.label, ignore_case=key.ignore_case)
        rows = ImportRows(
            records,
            len(header.cells),
            columns,
            keep_records=order.reject is not None,
            on_bytes=lambda count: on_progress("reading", count),
        )
        staged.copy(rows)
        result = _apply(staged, header, order, lambda doing: on_progress(doing, records.bytes_read))
        if order.dry_run:
            conn.rollback()
        return result


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
    # Before the commit: if that fails, there is a reject file too many. The other way round, bad lines could be lost.
    if counts.rejected and order.reject is not None and not order.dry_run:
        write_rejects(order.reject, header.raw, staged.rejected_records())
    return ImportResult(created, updated, counts.matched - updated, counts.rejected, problems, refused=False)
