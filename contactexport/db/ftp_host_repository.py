"""What was learned about FTP hosts; no secrets."""

from collections.abc import Iterator
from typing import Any

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


def traits_of(conn: Connection, *, host: str, port: int, username: str) -> list[dict[str, Any]]:
    """The traits of one host for one of its users: `trait` and the `temporary_name` that was in use."""
    return list(queries("ftp_host").traits_of(conn, host=host, port=port, username=username))


def store_trait(conn: Connection, **trait: Any) -> None:
    """Stores a trait: `host`, `port`, `username`, `trait`, `told` (the reply that shows it), `temporary_name`."""
    queries("ftp_host").store_trait(conn, **trait)


def drop_trait(conn: Connection, *, host: str, port: int, username: str, trait: str) -> None:
    """The host has this trait no more."""
    queries("ftp_host").drop_trait(conn, host=host, port=port, username=username, trait=trait)


def all_traits(conn: Connection) -> Iterator[dict[str, Any]]:
    """Everything that is known, by host."""
    yield from queries("ftp_host").all_traits(conn)


def forget(conn: Connection, host: str, *, port: int | None, username: str | None) -> int:
    """Drops all that is known about a host, or about one port or user of it; returns how many traits that were."""
    return int(queries("ftp_host").forget_host(conn, host=host, port=port, username=username))
