"""Decides where each column of an imported file goes, and how its cells are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contactexport.db import contact_import_repository
from contactexport.db.connection import Connection
from contactexport.db.contact_import_repository import ContactColumn
from contactexport.errors import UsageError
from contactexport.models import Catalogue, ContactField
from contactexport.services.contact_choices import ChoiceList
from contactexport.services.contact_values import EMAIL_FIELD, ParseValue, value_parser
from contactexport.services.import_header import FieldNames, read_header


@dataclass(frozen=True)
class ImportedColumn:
    """A column of the file: its position (from 0), its header cell, and the column of `contact` it goes to.

    `required` values must not be empty; a key with `ignore_case` is compared in lower case.
    """

    position: int
    label: str
    column_name: str
    parse: ParseValue
    required: bool
    is_key: bool
    ignore_case: bool


def plan_columns(
    conn: Connection, catalogue: Catalogue, header: Sequence[str], key_name: str | None
) -> list[ImportedColumn]:
    """The columns to import, in the file's order; `key_name` is a field's name or id, None is e-mail.

    Raises UsageError for a header or key that cannot be used.
    """
    names = FieldNames(catalogue)
    fields = read_header(header, names)
    key = names.find(key_name or str(EMAIL_FIELD))
    if key not in fields:
        raise UsageError(f'The header lacks the key "{key.name}": add its column, or name another field with --key')
    of_table = contact_import_repository.list_columns(conn)
    return [
        _plan(conn, position, header[position].strip(), field, of_table, is_key=field is key)
        for position, field in enumerate(fields)
        if field is not None
    ]


def _plan(
    conn: Connection,
    position: int,
    label: str,
    field: ContactField,
    of_table: Mapping[str, ContactColumn],
    *,
    is_key: bool,
) -> ImportedColumn:
    column = _writable_column(field, of_table)
    if is_key and column.category == "A":
        raise UsageError(f'"{field.name}" has several values at once and cannot be the key')
    choices = ChoiceList(contact_import_repository.list_choices(conn, field.id))
    return ImportedColumn(
        position,
        label,
        column.name,
        value_parser(field, column, choices),
        column.required,
        is_key,
        # E-mail addresses of one person come in several spellings; numbers of any kind do not.
        ignore_case=is_key and field.id == EMAIL_FIELD,
    )


def _writable_column(field: ContactField, of_table: Mapping[str, ContactColumn]) -> ContactColumn:
    column = of_table.get(field.column_name)
    if column is None:
        raise UsageError(f'"{field.name}" stands for the column {field.column_name}, which `contact` does not have')
    if not field.exportable or not column.writable:
        raise UsageError(f'"{field.name}" (field {field.id}) is read-only: take its column out of the file')
    return column
