"""What is to be known of a read replica: whose it is, and how far it has come."""

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def is_replica(conn: Connection) -> bool:
    """True on a server that replays another one's log."""
    return bool(queries("replica").is_replica(conn))


def is_replica_of(replica: Connection, primary: Connection) -> bool:
    """True when both are the same cluster."""
    replica_of, identity = (int(queries("replica").server_identity(conn)) for conn in (replica, primary))
    return replica_of == identity


def log_position(primary: Connection) -> str:
    """How far the primary has written its log."""
    return str(queries("replica").log_position(primary))


def has_replayed(replica: Connection, position: str) -> bool:
    """True once the replica shows everything up to a position of the primary's log."""
    return bool(queries("replica").has_replayed(replica, position=position))
