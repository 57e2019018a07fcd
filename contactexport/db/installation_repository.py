"""The row of `installation`: which storage folder and which secret key belong to this database."""

from dataclasses import dataclass

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


@dataclass(frozen=True)
class Installation:
    """`storage_marked` once some folder bears the id; `key_fingerprint` None until a key was used."""

    id: str
    key_fingerprint: str | None
    storage_marked: bool


def read(conn: Connection) -> Installation:
    """As it is now."""
    return Installation(**queries("installation").read(conn))


def claim_marking(conn: Connection) -> bool:
    """True for the one process that may mark the first folder, before its transaction ends; others wait for that."""
    return queries("installation").claim_marking(conn) is not None


def note_marked(conn: Connection) -> None:
    """From now on no folder is marked by itself."""
    queries("installation").note_marked(conn)


def note_first_key(conn: Connection, fingerprint: str) -> None:
    """Unless there is one already."""
    queries("installation").note_first_key(conn, fingerprint=fingerprint)


def note_key(conn: Connection, fingerprint: str) -> None:
    """In place of the former one."""
    queries("installation").note_key(conn, fingerprint=fingerprint)
