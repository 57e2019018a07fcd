"""All secrets that are stored encrypted, wherever they stand: for putting them under another key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contactexport.db.connection import Connection
from contactexport.db.queries import queries

_QUERIES = queries("secret")


@dataclass(frozen=True)
class StoredSecret:
    """One encrypted secret; `owner` names its row to a reader, like `user anna` or `export 12`."""

    id: int
    owner: str
    secret: bytes


@dataclass(frozen=True)
class SecretColumn:
    """A column of encrypted secrets."""

    name: str
    _lock: Callable[..., Any]
    _store: Callable[..., int]

    def lock_batch(self, conn: Connection, after: int, batch: int) -> list[StoredSecret]:
        """The next secrets behind the id `after`, locked to the end of the transaction."""
        rows = self._lock(conn, after=after, batch=batch)
        return [StoredSecret(row["id"], row["owner"], bytes(row["secret"])) for row in rows]

    def store(self, conn: Connection, row_id: int, secret: bytes) -> None:
        """Replaces one secret."""
        self._store(conn, id=row_id, secret=secret)


COLUMNS = (
    SecretColumn("api_user.wsse_secret", _QUERIES.lock_wsse_secrets, _QUERIES.set_wsse_secret),
    SecretColumn("export.ftp_secret", _QUERIES.lock_ftp_secrets, _QUERIES.set_ftp_secret),
    SecretColumn("export.notify_secret", _QUERIES.lock_notify_secrets, _QUERIES.set_notify_secret),
)


def lock_urls(conn: Connection, after: int, batch: int) -> list[tuple[int, str]]:
    """Ids and notification URLs that may hold credentials and are not encrypted, locked to the transaction's end."""
    return [(row["id"], row["url"]) for row in _QUERIES.lock_urls(conn, after=after, batch=batch)]


def hide_url(conn: Connection, export_id: int, hidden: str, secret: bytes) -> None:
    """Stores a notification URL encrypted, and in the settings what of it may be shown."""
    _QUERIES.hide_url(conn, id=export_id, hidden=hidden, secret=secret)
