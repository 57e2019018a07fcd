"""All columns with encrypted secrets, so that the secrets can be encrypted with another key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contactexport.db.connection import Connection
from contactexport.db.queries import queries

_QUERIES = queries("secret")


@dataclass(frozen=True)
class StoredSecret:
    """One encrypted secret. `owner` names its row for people, like `user anna` or `export 12`."""

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
        """The next secrets after the id `after`, locked until the transaction ends."""
        rows = self._lock(conn, after=after, batch=batch)
        return [StoredSecret(row["id"], row["owner"], bytes(row["secret"])) for row in rows]

    def store(self, conn: Connection, row_id: int, secret: bytes) -> None:
        """Replaces one secret."""
        self._store(conn, id=row_id, secret=secret)


COLUMNS = (
    SecretColumn("api_user.wsse_secret", _QUERIES.lock_wsse_secrets, _QUERIES.set_wsse_secret),
    SecretColumn("export.ftp_secret", _QUERIES.lock_ftp_secrets, _QUERIES.set_ftp_secret),
    SecretColumn("export.notify_secret", _QUERIES.lock_notify_secrets, _QUERIES.set_notify_secret),
    SecretColumn("feed.ftp_secret", _QUERIES.lock_feed_ftp_secrets, _QUERIES.set_feed_ftp_secret),
    SecretColumn("feed.notify_secret", _QUERIES.lock_feed_notify_secrets, _QUERIES.set_feed_notify_secret),
    SecretColumn("manifest_key.private_key", _QUERIES.lock_manifest_keys, _QUERIES.set_manifest_key),
)


def lock_urls(conn: Connection, after: int, batch: int) -> list[tuple[int, str]]:
    """Ids and unencrypted notification URLs that may hold credentials, locked until the transaction ends."""
    return [(row["id"], row["url"]) for row in _QUERIES.lock_urls(conn, after=after, batch=batch)]


def hide_url(conn: Connection, export_id: int, hidden: str, secret: bytes) -> None:
    """Stores a notification URL encrypted, and its masked form in the settings."""
    _QUERIES.hide_url(conn, id=export_id, hidden=hidden, secret=secret)
