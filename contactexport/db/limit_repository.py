"""Counts what users do, shared by all processes."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def count_requests(conn: Connection, user_name: str, wanted: int, limit: int) -> tuple[int, float]:
    """Counts so many more requests of this minute; returns how many of them the limit allows, and its seconds left."""
    row = queries("limit").count_requests(conn, user_name=user_name, wanted=wanted, limit=limit)
    return max(limit - (row["requests"] - wanted), 0) if row["requests"] > limit else wanted, row["seconds_left"]


def forget_requests(conn: Connection) -> None:
    """Drops the counts of minutes gone by."""
    queries("limit").forget_requests(conn)
