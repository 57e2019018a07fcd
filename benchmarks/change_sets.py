"""Changes of known contacts in a month before all others, so that exports of them can be compared across databases."""

from datetime import UTC, datetime, timedelta

import contacts

from contactexport.backend import Backend

# Changes of sample contacts begin in 2012.
YEAR = 2011
LONGEST = timedelta(days=25)


def changed_in(backend: Backend, month: int, changed: int, *, every: int = 1) -> tuple[datetime, datetime]:
    """The window [start, end) of a month of 2011 in which so many contacts changed, made if it is not there.

    They are the first contact and each that is `every` ids further on. Raises ValueError when there are too few.
    """
    start = datetime(YEAR, month, 1, tzinfo=UTC)
    with backend.database.session() as conn:
        if (found := contacts.queries().changes_of_month(conn, month=start)) == 0:
            contacts.queries().make_month(conn, month=start)
            contacts.queries().change_contacts(conn, month=start, changed=changed, every=every)
            contacts.queries().tidy(conn)
            found = contacts.queries().changes_of_month(conn, month=start)
    if found != changed:
        raise ValueError(f"{found:,} contacts instead of {changed:,} have changed in {start:%B %Y}")
    return start, start + LONGEST
