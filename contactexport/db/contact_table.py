"""What `contact` is: it may be an adopter's view, or lie on a replica, which is only read; and how many there are."""

from dataclasses import dataclass

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError

MOST_COUNTED = 1_000_000


@dataclass(frozen=True)
class ContactTable:
    """What a reader of `contact` must know: whether an index keeps its ids unique, and which columns are dates or
    times.
    """

    ids_are_unique: bool
    moments: frozenset[str]


# With a key, and no dates or times.
PLAIN_TABLE = ContactTable(ids_are_unique=True, moments=frozenset())


def describe(conn: Connection) -> ContactTable:
    """Looks at `contact`."""
    found = queries("contact_table").describe(conn)
    return ContactTable(found["ids_are_unique"], frozenset(found["moments"]))


def require_table(conn: Connection) -> None:
    """Raises UsageError unless `contact` is a table, and on a server that takes changes."""
    table = queries("contact_table").contact_table(conn)
    if table is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    if not table["is_table"]:
        raise UsageError("`contact` is not a table here but a view of another: write contacts where they come from")
    if table["is_read_only"]:
        raise UsageError("The contacts' database is read-only: write contacts on the server it is copied from")


def count_roughly(conn: Connection) -> int:
    """How many contacts there are: up to a million counted, beyond it as many as Postgres has last estimated."""
    return int(queries("contact_table").count_roughly(conn, most=MOST_COUNTED))
