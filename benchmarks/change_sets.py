"""Changes of known contacts in a month before all others, to compare their exports across databases."""

from datetime import UTC, datetime, timedelta

import contacts

from contactexport.context import Context
from contactexport.db.connection import Connection

# Changes of sample contacts begin in 2012.
YEAR = 2011
LONGEST = timedelta(days=25)


def changed_in(context: Context, month: int, changed: int, *, every: int = 1) -> tuple[datetime, datetime]:
    """The window [start, end) of a month of 2011 in which so many contacts changed, and no others.

    They are the first contact and every `every`-th one after it. The set is created if it is missing, and replaced if
    it is another one: a run at another scale may have used the same database. Raises ValueError if there are too few
    contacts.
    """
    start = _start_of(month)
    wanted = {"changes": changed, "last": every * (changed - 1) + 1}
    with context.database.session() as conn:
        if _found(conn, start) != wanted:
            contacts.queries().make_month(conn, month=start)
            contacts.queries().forget_changes(conn, month=start)
            contacts.queries().change_contacts(conn, month=start, changed=changed, every=every)
            contacts.queries().tidy_changes(conn)
        if (found := _found(conn, start)) != wanted:
            raise ValueError(f"{found} instead of {wanted} in {start:%B %Y}")
    return start, start + LONGEST


def first_changed_in(context: Context, month: int, first: int) -> tuple[datetime, datetime]:
    """The part of a set's window in which its first so many contacts changed. Only for a set of every contact."""
    start = _start_of(month)
    with context.database.session() as conn:
        last = contacts.queries().last_change(conn, month=start, contact=first)
    return start, last + timedelta(microseconds=1)


def _start_of(month: int) -> datetime:
    return datetime(YEAR, month, 1, tzinfo=UTC)


def _found(conn: Connection, start: datetime) -> dict[str, int | None]:
    return dict(contacts.queries().change_set(conn, month=start))
