"""Finds the choices that a cell names by label, in any language, or by id."""

from collections.abc import Iterable, Mapping

from contactexport.contact_import.shown_value import shown


class ChoiceList:
    """The choices of one field.

    A label takes precedence over an id, because an export writes labels. If "1" is the label of choice 2, then "1" must
    become choice 2 again.
    """

    def __init__(self, choices: Iterable[tuple[int, Mapping[str, str]]]) -> None:
        self._by_label: dict[str, set[int]] = {}
        self._ids: dict[str, int] = {}
        for choice_id, labels in choices:
            self._ids[str(choice_id)] = choice_id
            for label in labels.values():
                self._by_label.setdefault(_folded(label), set()).add(choice_id)

    def __bool__(self) -> bool:
        return bool(self._ids)

    def one(self, cell: str) -> str | None:
        """The id of the choice that a cell names. None for a blank cell. Raises ValueError with the reason."""
        if not cell.strip():
            return None
        found = self._find(cell)
        if not found:
            raise ValueError(f"{shown(cell)} is neither a label nor an id of its choices")
        if len(found) > 1:
            ids = " and ".join(map(str, sorted(found)))
            raise ValueError(f"{shown(cell)} is ambiguous: the label of the choices {ids}")
        return str(found.pop())

    def several(self, cell: str) -> str | None:
        """The ids of the choices in a cell, as an array literal like `{2,1}`. None for a blank cell.

        Commas separate the choices. A label may contain commas too: the longest label that fits counts. Raises
        ValueError with the reason.
        """
        parts, ids = cell.split(","), list[str]()
        while parts and cell.strip():
            length = next((n for n in range(len(parts), 1, -1) if self._find(",".join(parts[:n]))), 1)
            choice = self.one(",".join(parts[:length]))
            if choice is None:
                raise ValueError("two commas follow each other, or one stands at the start or end")
            ids.append(choice)
            parts = parts[length:]
        return "{" + ",".join(dict.fromkeys(ids)) + "}" if ids else None

    def _find(self, text: str) -> set[int]:
        label = _folded(text)
        if label in self._by_label:
            return set(self._by_label[label])
        return {self._ids[label]} if label in self._ids else set()


def _folded(label: str) -> str:
    return " ".join(label.split()).casefold()
