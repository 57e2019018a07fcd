"""Finds the contact fields that the header of a file names by id, or by name in any language."""

import difflib
from collections.abc import Sequence

from contactexport import system_fields
from contactexport.catalogue import Catalogue, ContactField
from contactexport.errors import UsageError

# Columns of an export that are no fields (contract, The file).
IGNORED = {"user_id", "last update", "origin", "change"}  # columns of an export that are no fields
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


class FieldNames:
    """The fields of a catalogue by id, by column name, and by name in every language. Case does not matter.

    With `other_programs` a system field is also known by what other programs call it, such as `surname`.
    """

    def __init__(self, catalogue: Catalogue, *, other_programs: bool = False) -> None:
        self._other_programs = other_programs
        self._by_id = {str(one.id): one for one in catalogue.fields.values()}
        self._by_name: dict[str, dict[int, ContactField]] = {}
        for field in catalogue.fields.values():
            for name in (field.name, field.column_name, *field.names.values()):
                self._by_name.setdefault(_folded(name), {})[field.id] = field

    def find(self, name: str) -> ContactField:
        """The field. Raises UsageError for an unknown or ambiguous name, with what is near."""
        folded = _folded(name)
        if folded in self._by_id:
            return self._by_id[folded]
        fields = self._by_name.get(folded, {})
        if not fields and self._other_programs and (system := system_fields.find(name)) is not None:
            fields = {one.id: one for one in self._by_id.values() if one.id == system.id}
        if len(fields) > 1:
            ids = " and ".join(str(one) for one in sorted(fields))
            raise UsageError(f'"{name}" is the name of the fields {ids}: write the id instead')
        if not fields:
            close = difflib.get_close_matches(folded, self._by_name, n=3)
            near = {one.id: one.name for known in close for one in self._by_name[known].values()}
            meant = " or ".join(f'"{field_name}" ({number})' for number, field_name in near.items())
            hint = f"did you mean {meant}?" if near else "write a field's id, or its name in any language"
            raise UsageError(f'Unknown field: "{name}"; {hint}')
        return next(iter(fields.values()))

    def knows(self, name: str) -> bool:
        """True if a field, or several, have this id or name, and for a column to ignore."""
        try:
            return self.is_ignored(name) or bool(self.find(name))
        except UsageError:
            return _folded(name) in self._by_name

    def is_ignored(self, name: str) -> bool:
        """True for a column of an export that is no field, unless a field has this name."""
        return _folded(name) in IGNORED and _folded(name) not in self._by_name

    def delimiter_in(self, name: str) -> str | None:
        """What a delimiter is called that stands behind the name of a field: "a semicolon" in `email;city`."""
        for delimiter, called in DELIMITERS.items():
            first, found, _ = name.partition(delimiter)
            if found and (self.knows(first.strip('"')) or _folded(first.strip('"')) in IGNORED):
                return called
        return None


def read_header(cells: Sequence[str], names: FieldNames) -> list[ContactField | None]:
    """The field of each column. None for a column to ignore.

    Raises UsageError for a header cell that is empty, unknown, ambiguous, or that names a field a second time.
    """
    fields: list[ContactField | None] = []
    seen: dict[int, str] = {}
    for position, cell in enumerate(cells, start=1):
        if not cell.strip():
            raise UsageError(f"Column {position} of the header is empty: write a field's name or id")
        if not names.knows(cell) and (called := names.delimiter_in(cell.strip())) is not None:
            raise UsageError(f'Unknown field: "{cell.strip()}"; is {called} the delimiter? (--delimiter)')
        field = None if names.is_ignored(cell) else names.find(cell.strip())
        if field is not None and field.id in seen:
            raise UsageError(f'"{seen[field.id]}" and "{cell.strip()}" in the header are the same field')
        if field is not None:
            seen[field.id] = cell.strip()
        fields.append(field)
    return fields


def _folded(name: str) -> str:
    return name.strip().casefold()
