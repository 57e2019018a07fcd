"""Finds the choices that a cell names, by label in any language or by id."""

from collections.abc import Iterable, Mapping

from contactexport.services.shown_value import shown


class ChoiceList:
    """The choices of one field.

    A label goes before an id, because an export shows labels: where "1" is the label of choice 2, an export's
    "1" must become choice 2 again.
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
        """The id of the choice a cell names, None for a blank one. Raises ValueError with the reason."""
        if not cell.strip():
            return None
        found = self._find(cell)
        if not found:
            raise ValueError(f"{shown(cell)} is neither a label nor an id of its choices")
        if len(found) > 1:
            raise ValueError(f"{shown(cell)} is ambiguous: the label of the choices {_listed(found)}")
        return str(found.pop())

    def several(self, cell: str) -> str | None:
        """The ids of choices joined with `, ` as an array literal, None for a blank cell. Raises ValueError.

        A label may contain a comma itself: the longest one that fits is taken.
        """
        parts, ids = cell.split(","), list[str]()
        while parts and cell.strip():
            length = next((n for n in range(len(parts), 1, -1) if self._find(",".join(parts[:n]))), 1)
            ids.append(self._required(",".join(parts[:length])))
            parts = parts[length:]
        return "{" + ",".join(dict.fromkeys(ids)) + "}" if ids else None

    def _required(self, part: str) -> str:
        found = self.one(part)
        if found is None:
            raise ValueError("two commas follow each other, or one stands at the start or end")
        return found

    def _find(self, text: str) -> set[int]:
        label = _folded(text)
        if label in self._by_label:
            return set(self._by_label[label])
        return {self._ids[label]} if label in self._ids else set()


def _folded(label: str) -> str:
    return " ".join(label.split()).casefold()


def _listed(ids: Iterable[int]) -> str:
    return " and ".join(str(one) for one in sorted(ids))
