"""How FTP and SFTP hosts deviate from the standard. Learned from their replies, and stored for the next delivery."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from contactexport import audit
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.delivery.ftp_wire import one_line
from contactexport.exports.models import FtpTarget, SftpTarget
from contactexport.hosts.parse import parse_host


class HostTrait(StrEnum):
    """One deviation of a host."""

    NO_PASV = "no_pasv"
    NO_EPSV = "no_epsv"
    OTHER_ADDRESS = "other_address"
    OWN_ADDRESS = "own_address"
    NO_SIZE = "no_size"
    LATE_REFUSAL = "late_refusal"
    NO_TEMPORARY_NAME = "no_temporary_name"
    NO_RENAME = "no_rename"
    ARCHIVES = "archives"


MEANINGS = {
    HostTrait.NO_PASV: "refuses PASV: EPSV is sent first",
    HostTrait.NO_EPSV: "refuses EPSV: PASV is sent first",
    HostTrait.OTHER_ADDRESS: "PASV names another address, which takes the data",
    HostTrait.OWN_ADDRESS: "PASV names another address, but the host itself takes the data",
    HostTrait.NO_SIZE: "reports no sizes: its confirmation that a file is complete must do",
    HostTrait.LATE_REFUSAL: "refuses files that arrived whole: the size decides",
    HostTrait.NO_TEMPORARY_NAME: "refuses the temporary name: files are uploaded under their own",
    HostTrait.NO_RENAME: "does not rename: files are uploaded under their own name",
    HostTrait.ARCHIVES: "takes files away at once: they are uploaded under their own name",
}
# The pattern of a temporary name that asks for none.
NO_TEMPORARY_NAME = "%s"
# With one of these a file is uploaded under its final name at once.
OWN_NAME = frozenset({HostTrait.NO_TEMPORARY_NAME, HostTrait.NO_RENAME, HostTrait.ARCHIVES})
# A file that was moved aside is part 0.
ASIDE = 0
# Parts of older attempts are not looked for: an outage may raise the number without limit, and each costs a round trip.
ATTEMPTS_BACK = 50
EXCLUDES = {HostTrait.OTHER_ADDRESS: HostTrait.OWN_ADDRESS, HostTrait.OWN_ADDRESS: HostTrait.OTHER_ADDRESS}


def left_by(attempt: int) -> tuple[int, ...]:
    """Which parts attempts before this one may have left."""
    return (ASIDE, *range(max(1, attempt - ATTEMPTS_BACK), attempt)) if attempt > 1 else ()


@dataclass
class HostTraits:
    """The traits of one host.

    Calls `store` for each new trait, with the reply that shows it, and `drop` for each that is no longer true.
    """

    known: set[HostTrait] = field(default_factory=set)
    store: Callable[[HostTrait, str], object] = lambda _trait, _told: None
    drop: Callable[[HostTrait], object] = lambda _trait: None

    def learn(self, trait: HostTrait, told: str) -> None:
        """Notes a trait, with the reply that shows it."""
        if trait not in self.known:
            if trait in EXCLUDES:
                self.forget(EXCLUDES[trait])
            self.known.add(trait)
            self.store(trait, told)

    def forget(self, trait: HostTrait) -> None:
        """Drops a trait that the host no longer shows."""
        if trait in self.known:
            self.known.remove(trait)
            self.drop(trait)


def remembered(conn: Connection, target: FtpTarget | SftpTarget, password: str, temporary_name: str) -> HostTraits:
    """Returns the known traits of a target. New traits are stored at once, before anything depends on them.

    No stored reply shows the `password`.

    Traits about names hold for the `temporary_name` that showed them. Another name is tried again.
    """
    host = str(parse_host(target.host))
    key: dict[str, Any] = {"host": host, "port": target.port, "username": target.username}
    known = {
        HostTrait(one["trait"])
        for one in queries("ftp_host").traits_of(conn, **key)
        if one["trait"] in set(HostTrait)  # another version may know more
        and (one["trait"] not in OWN_NAME or one["temporary_name"] == temporary_name)
    }
    return HostTraits(
        known,
        partial(_store, conn, key, password, temporary_name),
        lambda trait: queries("ftp_host").drop_trait(conn, **key, trait=trait),
    )


def _store(
    conn: Connection, key: dict[str, Any], password: str, temporary_name: str, trait: HostTrait, told: str
) -> None:
    shown = one_line(told, password)
    queries("ftp_host").store_trait(conn, **key, trait=trait, told=shown, temporary_name=temporary_name)
    audit.note("host learned", **key, trait=trait, reply=shown)


def all_traits(conn: Connection) -> Iterator[dict[str, Any]]:
    """Yields all known traits, by host. They contain no secrets."""
    yield from queries("ftp_host").all_traits(conn)


def forget(conn: Connection, host: str, *, port: int | None, username: str | None) -> int:
    """Drops the traits of a host, or of one port or user of it. Returns how many."""
    return int(queries("ftp_host").forget_host(conn, host=host, port=port, username=username))
