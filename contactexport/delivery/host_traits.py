"""What FTP hosts do differently from the book: learned from their replies, remembered for the next delivery."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import partial
from typing import Any

from contactexport import audit_log
from contactexport.db import ftp_host_repository
from contactexport.db.connection import Connection
from contactexport.delivery.ftp_errors import one_line
from contactexport.internet_host import parse_host
from contactexport.models import FtpTarget


class HostTrait(StrEnum):
    """One thing that a host does in its own way."""

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
    HostTrait.OTHER_ADDRESS: "PASV names another address, and data are taken there",
    HostTrait.OWN_ADDRESS: "PASV names another address, and data are taken at its own",
    HostTrait.NO_SIZE: "does not tell the size: its word that a file is complete must do",
    HostTrait.LATE_REFUSAL: "refuses files that it has whole: the size decides",
    HostTrait.NO_TEMPORARY_NAME: "refuses the temporary name: files are uploaded under their own",
    HostTrait.NO_RENAME: "does not rename: files are uploaded under their own name",
    HostTrait.ARCHIVES: "takes files away at once: they are uploaded under their own name",
}
# With these a file is uploaded under its own name at once.
OWN_NAME = frozenset({HostTrait.NO_TEMPORARY_NAME, HostTrait.NO_RENAME, HostTrait.ARCHIVES})
EXCLUDES = {HostTrait.OTHER_ADDRESS: HostTrait.OWN_ADDRESS, HostTrait.OWN_ADDRESS: HostTrait.OTHER_ADDRESS}


class HostTraits:
    """The traits of one host. `store` is told each that is new, with the reply that shows it; `drop` each that is not
    true any more."""

    def __init__(
        self,
        known: Iterable[str] = (),
        store: Callable[[HostTrait, str], None] = lambda _trait, _told: None,
        drop: Callable[[HostTrait], None] = lambda _trait: None,
    ) -> None:
        self._known = {HostTrait(one) for one in known if one in set(HostTrait)}
        self._store = store
        self._drop = drop

    def __contains__(self, trait: HostTrait) -> bool:
        return trait in self._known

    @property
    def own_name(self) -> bool:
        """True when files are uploaded under their own name at once."""
        return bool(OWN_NAME & self._known)

    def learn(self, trait: HostTrait, told: str) -> None:
        """The host has shown a trait, by what it has told."""
        if trait not in self._known:
            if trait in EXCLUDES:
                self.forget(EXCLUDES[trait])
            self._known.add(trait)
            self._store(trait, told)

    def forget(self, trait: HostTrait) -> None:
        """The host has shown that it is otherwise now."""
        if trait in self._known:
            self._known.remove(trait)
            self._drop(trait)


def remembered(conn: Connection, target: FtpTarget, password: str, temporary_name: str) -> HostTraits:
    """What is known of a target; what is learned is stored at once, before anything is done that depends on it.

    What is known about names holds for the `temporary_name` that was in use then: another one is tried again.
    """
    host = str(parse_host(target.host))
    key: dict[str, Any] = {"host": host, "port": target.port, "username": target.username}
    known = [
        one["trait"]
        for one in ftp_host_repository.traits_of(conn, **key)
        if one["trait"] not in OWN_NAME or one["temporary_name"] == temporary_name
    ]
    return HostTraits(
        known,
        partial(_store, conn, key, password, temporary_name),
        lambda trait: ftp_host_repository.drop_trait(conn, **key, trait=trait),
    )


def _store(
    conn: Connection, key: dict[str, Any], password: str, temporary_name: str, trait: HostTrait, told: str
) -> None:
    shown = one_line(told, password)
    ftp_host_repository.store_trait(conn, **key, trait=trait, told=shown, temporary_name=temporary_name)
    audit_log.note("FTP host learned", **key, trait=trait, reply=shown)
