"""What `contact` is: a table, an adopter's view, or read-only on a replica. Also, how many contacts there are."""

from dataclasses import dataclass

from contactexport.contacts.ids import BIGINT, ID_TYPES, IdRange, IdType
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError

MAX_COUNTED = 1_000_000


@dataclass(frozen=True)
class ContactTable:
    """What an export must know of `contact`: are its ids unique by an index, and which columns are dates or times.

    `has_memberships`: the view `contact_origin` tells which origins a contact belongs to, and it may be several.
    `logs_any`: the log may have entries of origin "any". It has them if contacts are made of several adopted tables.
    """

    ids_are_unique: bool
    moments: frozenset[str]
    id_type: IdType = BIGINT
    has_memberships: bool = False
    logs_any: bool = False

    @property
    def all_ids(self) -> IdRange:
        """The range of every id."""
        return IdRange(self.id_type.smallest, self.id_type.largest)


# It has a key, and no dates or times.
PLAIN_TABLE = ContactTable(ids_are_unique=True, moments=frozenset())


def describe(conn: Connection) -> ContactTable:
    """Reads what `contact` is from Postgres' catalogue, and from the log."""
    found, logs_any = queries("contact_table").describe(conn), queries("contact_table").logs_any(conn)
    moments, id_type = frozenset(found["moments"]), ID_TYPES[found["id_type"]]
    return ContactTable(found["ids_are_unique"], moments, id_type, found["has_memberships"], logs_any)


def ids_are_unique(conn: Connection) -> bool:
    """The same of its ids alone, for roles that may not read the log."""
    return bool(queries("contact_table").describe(conn)["ids_are_unique"])


def require_table(conn: Connection) -> None:
    """Raises UsageError unless `contact` is a table on a server that accepts writes."""
    table = queries("contact_table").contact_table(conn)
    if table is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    if not table["is_table"]:
        raise UsageError("`contact` is not a table here but a view of another: write contacts where they come from")
    if table["is_read_only"]:
        raise UsageError("The contacts' database is read-only: write contacts on the server it is copied from")


def count_roughly(conn: Connection) -> int:
    """The number of contacts: exact up to MAX_COUNTED, beyond that the last estimate of Postgres."""
    return int(queries("contact_table").count_roughly(conn, most=MAX_COUNTED))
