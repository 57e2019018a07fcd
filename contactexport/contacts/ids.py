"""Ids of contacts: whole numbers, or UUIDs where an adopted table has those. The log's column says which."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

ContactId = int | str


@dataclass(frozen=True)
class IdType:
    """A type of ids: its name and its hash function in Postgres, its smallest and its largest value.

    `read` makes a value of its text.
    """

    name: str
    hash_function: str
    smallest: ContactId
    largest: ContactId
    read: Callable[[str], ContactId]

    def sent(self, text: str) -> ContactId | None:
        """The id that a client means by a text. None: it cannot be one.

        >>> BIGINT.sent("7"), BIGINT.sent("x"), UUIDS.sent("00000000-0000-0000-0000-0000000000FF")
        (7, None, '00000000-0000-0000-0000-0000000000ff')
        """
        if self.read is int:
            digits = text.removeprefix("-")
            is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(self.largest))
            return int(text) if is_number and abs(int(text)) < 2**63 else None
        try:
            return str(UUID(text))
        except ValueError:
            return None

    def after(self, contact_id: ContactId) -> ContactId:
        """The next id, in the order of Postgres.

        >>> BIGINT.after(7), UUIDS.after("00000000-0000-0000-0000-0000000000ff")
        (8, '00000000-0000-0000-0000-000000000100')
        """
        if isinstance(contact_id, int):
            return contact_id + 1
        return str(UUID(int=UUID(contact_id).int + 1))


BIGINT = IdType("bigint", "hashint8", -(2**63), 2**63 - 1, int)
UUIDS = IdType("uuid", "uuid_hash", str(UUID(int=0)), str(UUID(int=2**128 - 1)), str)
ID_TYPES = {id_type.name: id_type for id_type in (BIGINT, UUIDS)}


@dataclass(frozen=True)
class IdRange:
    """Ids of contacts from the first to the last, both included."""

    first: ContactId
    last: ContactId
