"""Counts what users do, shared by all processes."""

from psycopg2.errors import LockNotAvailable

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable


def count_request(conn: Connection, user_name: str) -> tuple[int, int]:
    """Counts one more request; returns those of this minute and the seconds until the next one."""
    row = queries("limit").count_request(conn, user_name=user_name)
    return row["requests"], row["seconds_left"]


def forget_requests(conn: Connection) -> None:
    """Drops the counts of minutes gone by."""
    queries("limit").forget_requests(conn)


def count_unfinished_exports(conn: Connection, created_by: str) -> int:
    """The user's exports that are neither done nor in error; nobody else adds one for them until the commit.

    Raises DatabaseUnavailable when other requests of the user keep the count to themselves too long.
    """
    try:
        queries("limit").lock_user(conn, user_name=created_by)
    except LockNotAvailable:
        raise DatabaseUnavailable("The user's requests wait for each other") from None
    return int(queries("limit").count_unfinished(conn, created_by=created_by))
