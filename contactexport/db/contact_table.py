"""Whether contacts may be written here: `contact` may be an adopter's view, which is only read."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError

WRITABLE_KINDS = {"r", "p"}  # pg_class.relkind: an ordinary or a partitioned table


def require_table(conn: Connection) -> None:
    """Raises UsageError unless `contact` is a table: what a view shows is written by its owner's programs."""
    kind = queries("contact_table").contact_relation_kind(conn)
    if kind is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    if kind not in WRITABLE_KINDS:
        raise UsageError("`contact` is not a table here but a view of another: write contacts where they come from")
