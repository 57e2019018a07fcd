"""Finds the contact fields that the header of an import names, by id or by name in any language."""

import difflib
from collections.abc import Sequence

from contactexport.errors import UsageError
from contactexport.models import Catalogue, ContactField

# The columns that an export has beyond the fields (contract, The file).
IGNORED = {"user_id", "last update"}
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


class FieldNames:
    """The fields of a catalogue by id, name, column name and name in every language, upper or lower case."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._by_id = {str(one.id): one for one in catalogue.fields.values()}
        self._by_name: dict[str, dict[int, ContactField]] = {}
        for field in catalogue.fields.values():
            for name in (field.name, field.column_name, *field.names.values()):
                self._by_name.setdefault(_folded(name), {})[field.id] = field

    def find(self, name: str) -> ContactField:
        """The field. Raises UsageError for an unknown or ambiguous name, naming what is near."""
        folded = _folded(name)
        if folded in self._by_id:
            return self._by_id[folded]
        fields = self._by_name.get(folded, {})
        if len(fields) > 1:
            ids = " and ".join(str(one) for one in sorted(fields))
            raise UsageError(f'"{name}" is the name of the fields {ids}: write the id instead')
        if not fields:
            raise UsageError(f'Unknown field: "{name}"{self._hint(folded)}')
        return next(iter(fields.values()))

    def is_ignored(self, name: str) -> bool:
        """True for a column that only exports have, unless a field has this name."""
        return _folded(name) in IGNORED and _folded(name) not in self._by_name

    def _hint(self, folded: str) -> str:
        for delimiter, called in DELIMITERS.items():
            first, found, _ = folded.partition(delimiter)
            if found and self._is_field(first):
                return f"; is {called} the delimiter? (--delimiter)"
        near = difflib.get_close_matches(folded, self._by_name, n=3)
        if near:
            fields = {one.id: one.name for name in near for one in self._by_name[name].values()}
            return "; did you mean " + " or ".join(f'"{name}" ({number})' for number, name in fields.items()) + "?"
        return "; a field's id, or its name in any language expected"

    def _is_field(self, text: str) -> bool:
        name = _folded(text.strip('"'))
        return name in self._by_id or name in self._by_name or name in IGNORED


def read_header(cells: Sequence[str], names: FieldNames) -> list[ContactField | None]:
    """The field of each column, None for a column to ignore.

    Raises UsageError for a header cell that is empty, unknown, ambiguous, or names a field again.
    """
    fields: list[ContactField | None] = []
    seen: dict[int, str] = {}
    for position, cell in enumerate(cells, start=1):
        if not cell.strip():
            raise UsageError(f"Column {position} of the header is empty: a field's name or id expected")
        field = None if names.is_ignored(cell) else names.find(cell.strip())
        if field is not None and field.id in seen:
            raise UsageError(f'"{seen[field.id]}" and "{cell.strip()}" in the header are the same field')
        if field is not None:
            seen[field.id] = cell.strip()
        fields.append(field)
    return fields


def _folded(name: str) -> str:
    return name.strip().casefold()
