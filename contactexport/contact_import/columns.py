"""Decides which column of `contact` each column of the file goes to, and how its cells are read."""

from collections.abc import Sequence
from dataclasses import dataclass

from contactexport.contact_import import store
from contactexport.contact_import.choices import ChoiceList
from contactexport.contact_import.header import FieldNames, read_header
from contactexport.contact_import.values import EMAIL_FIELD, ParseValue, value_parser
from contactexport.db.connection import Connection
from contactexport.errors import UsageError


@dataclass(frozen=True)
class ImportedColumn:
    """A column of the file: its position (from 0), its header cell (`label`), and its column in `contact`.

    A `required` value must not be empty. With `ignore_case` the key is compared in lower case.
    """

    position: int
    label: str
    column_name: str
    parse: ParseValue
    required: bool
    is_key: bool
    ignore_case: bool


def plan_columns(
    conn: Connection, names: FieldNames, header: Sequence[str], key_name: str | None
) -> list[ImportedColumn]:
    """The columns to import, in the order of the file. `key_name` is a field's name or id, None is e-mail.

    Raises UsageError for a header or a key that cannot be used.
    """
    fields = read_header(header, names)
    key = names.find(key_name or str(EMAIL_FIELD))
    if key not in fields:
        raise UsageError(f'The header lacks the key "{key.name}": add its column, or name another field with --key')
    of_table = store.list_columns(conn)
    planned = []
    for position, field in enumerate(fields):
        if field is None:
            continue
        column = of_table.get(field.column_name)
        if column is None:
            raise UsageError(f'"{field.name}" stands for the column {field.column_name}, which `contact` does not have')
        if not field.exportable or not column.writable:
            raise UsageError(f'"{field.name}" (field {field.id}) is read-only: take its column out of the file')
        is_key = field is key
        if is_key and column.category == "A":
            raise UsageError(f'"{field.name}" has several values at once and cannot be the key')
        planned.append(
            ImportedColumn(
                position,
                header[position].strip(),
                column.name,
                value_parser(field, column, ChoiceList(store.list_choices(conn, field.id))),
                column.required,
                is_key,
                # One person's e-mail address may be spelled in upper or lower case. No number is.
                ignore_case=is_key and field.id == EMAIL_FIELD,
            )
        )
    return planned
