"""Names the contact by which an export cannot be written, so that whoever owns it can mend it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from contactexport.db import unfit_contact_repository
from contactexport.db.changed_contact_repository import IdRange, Selection
from contactexport.db.connection import Connection
from contactexport.db.connection_errors import refusals_told
from contactexport.errors import ExportFailed, QueryFailed, ValueRefused
from contactexport.models import ContactField

SEARCH_SECONDS = 60

logger = logging.getLogger(__name__)


@contextmanager
def named_in_failure(conn: Connection, selection: Selection, require_wanted: Callable[[], None]) -> Iterator[None]:
    """For the block that reads the selection: raises ExportFailed with the contact and the reason when one has no id,
    or the id of another, or a value that cannot be read.

    It is searched for a minute at most, in this session; if that is not enough, the reason names no contact.
    `require_wanted` raises when the search was broken off because nobody wants the export any more.
    """
    try:
        with refusals_told():
            # It would be in no file. A table with a key is not searched.
            if not selection.table.ids_are_unique and unfit_contact_repository.has_contact_without_id(conn, selection):
                raise ExportFailed("A contact has no id: each row of `contact` needs a whole number of its own in `id`")
            yield
    except ValueRefused as refusal:
        logger.warning("value refused: reason=%s", refusal.text)
        reason = _explained(conn, selection, refusal)
        require_wanted()
        raise ExportFailed(reason) from refusal


def _explained(conn: Connection, selection: Selection, refusal: ValueRefused) -> str:
    end = time.monotonic() + SEARCH_SECONDS
    try:
        found = _repeated_id(conn, selection, end) or _bad_value(conn, selection, refusal.condition, end)
    except QueryFailed as broken_off:
        logger.warning("search for the value broken off: reason=%s", broken_off.text)
        return f"{refusal.status_text}; which one was not found within {SEARCH_SECONDS} seconds"
    return found or f"{refusal.status_text}; when it was looked for, it was gone"


def _repeated_id(conn: Connection, selection: Selection, end: float) -> str | None:
    if selection.table.ids_are_unique:
        return None
    try:
        repeated = unfit_contact_repository.repeated_id(conn, selection, _left(end))
    except ValueRefused:  # a condition of a view, which every query of it meets
        return None
    if repeated is None:
        return None
    return f"Contact {repeated} is there more than once: ids in `contact` must be unique"


def _bad_value(conn: Connection, selection: Selection, condition: str, end: float) -> str | None:
    contact = _contact_with_bad_value(conn, selection, end)
    if contact is None:
        return None

    def is_bad(*fields: ContactField) -> bool:
        some = replace(selection, fields=fields)
        return unfit_contact_repository.has_bad_value(conn, some, IdRange(contact, contact), _left(end))

    if is_bad():
        return f"Contact {contact} cannot be read, whichever fields are asked for: {condition}"
    for field in selection.fields:
        if is_bad(field):
            name = " ".join(f'{field.id} ("{field.name}", column "{field.column_name}")'.split())
            return f"Field {name} of contact {contact} cannot be read: {condition}"
    return None


def _contact_with_bad_value(conn: Connection, selection: Selection, end: float) -> int | None:
    """Halves the ids until one is left. Half of them is read again, then a quarter, and so on: all of them once."""
    ids = IdRange()
    while bounds := unfit_contact_repository.bounds(conn, selection, ids, _left(end)):
        first, middle, last = bounds
        if first == last:
            return first
        half, other = IdRange(first, middle), IdRange(middle + 1, last)
        ids = half if unfit_contact_repository.has_bad_value(conn, selection, half, _left(end)) else other
    return None


def _left(end: float) -> float:
    return end - time.monotonic()
