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
)
