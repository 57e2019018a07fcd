"""Checks whether Postgres can store something now. That a read works proves nothing."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def require_writable(conn: Connection) -> None:
    """Raises what a write would raise: no disk space, no right, a read-only server. Nothing of it is stored.

    Call it inside a transaction.
    """
    queries("readiness").try_a_write(conn)
    queries("readiness").little_memory(conn)
    queries("readiness").try_the_disk(conn)
