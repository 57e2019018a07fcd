"""Whether Postgres could store something now: a read works where a write does not."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def require_writable(conn: Connection) -> None:
    """Writes nothing that stays, and raises what a write would: no disk space, no right, a server that only reads.

    To be called inside a transaction.
    """
    queries("readiness").try_a_write(conn)
    queries("readiness").little_memory(conn)
    queries("readiness").try_the_disk(conn)
