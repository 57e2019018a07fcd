"""The one transaction of adopting or releasing: all is done, or nothing, and whatever Postgres refuses is one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from contactexport.adopt.inspect import locks_named
from contactexport.db.connection import Connection, Database
from contactexport.db.errors import query_errors_translated
from contactexport.db.queries import queries
from contactexport.errors import DatabaseConflict


@contextmanager
def whole_or_nothing(database: Database) -> Iterator[Connection]:
    """The connection. Raises ContactExportError, with nothing done.

    It names who has locked a table for too long. What a caller does not refuse itself is told in the words of Postgres.
    """
    try:
        with query_errors_translated(), database.transaction() as conn, refused_in_one_line(conn):
            yield conn
    except DatabaseConflict as error:
        raise DatabaseConflict(f"{error.text}. Nothing was done: try again") from error


@contextmanager
def refused_in_one_line(conn: Connection) -> Iterator[None]:
    """The same for a connection of the caller's own, who undoes what was done."""
    with query_errors_translated():
        oids = [row["oid"] for row in queries("adopt").lockable(conn)]
        with locks_named(conn, oids):
            yield
