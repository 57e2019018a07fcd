"""Counts what users do, shared by all processes."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def count_requests(conn: Connection, user_name: str, wanted: int, limit: int) -> tuple[int, int, float]:
    """Counts so many more requests of this minute.

    Returns how many of them the limit allows, how many it allows after these, and the seconds left of the minute.
    """
    row = queries("limit").count_requests(conn, user_name=user_name, wanted=wanted, limit=limit)
    left = limit - (row["requests"] - wanted)
    granted = max(min(wanted, left), 0)
    return granted, max(left - granted, 0), row["seconds_left"]


def forget_requests(conn: Connection) -> None:
    """Drops the counts of minutes gone by."""
    queries("limit").forget_requests(conn)
