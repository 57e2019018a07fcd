"""Whether contacts may be written here: `contact` may be an adopter's view or a replica, which is only read."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import UsageError


def require_table(conn: Connection) -> None:
    """Raises UsageError unless `contact` is a table, and on a server that takes changes."""
    table = queries("contact_table").contact_table(conn)
    if table is None:
        raise UsageError("The table `contact` does not exist: run `flask db upgrade`")
    if not table["is_table"]:
        raise UsageError("`contact` is not a table here but a view of another: write contacts where they come from")
    if table["is_read_only"]:
        raise UsageError("The contacts' database is read-only: write contacts on the server it is copied from")
