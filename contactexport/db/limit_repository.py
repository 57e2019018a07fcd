"""Counts what users do, shared by all processes."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def count_request(conn: Connection, user_name: str) -> tuple[int, int]:
    """Counts one more request; returns those of this minute and the seconds until the next one."""
    row = queries("limit").count_request(conn, user_name=user_name)
    return row["requests"], row["seconds_left"]


def forget_requests(conn: Connection) -> None:
    """Drops the counts of minutes gone by."""
    queries("limit").forget_requests(conn)


def count_unfinished_exports(conn: Connection, created_by: str) -> int:
    """The user's exports that are neither done nor in error; nobody else adds one for them until the commit."""
    queries("limit").lock_user(conn, user_name=created_by)
    return int(queries("limit").count_unfinished(conn, created_by=created_by))
