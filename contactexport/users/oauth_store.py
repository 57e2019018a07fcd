"""OAuth clients (users with a client id), and the table access_token."""

from dataclasses import dataclass, field

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.users.models import Caller
from contactexport.users.store import TokenUser, caller_of

_QUERIES = queries("oauth")


@dataclass(frozen=True)
class OauthClient:
    """An active user with a client id. `secret_hash` is the SHA-256 of the client's secret."""

    user_id: int
    client_id: str
    secret_hash: bytes = field(repr=False)
    caller: Caller


def find_client(conn: Connection, client_id: str) -> OauthClient | None:
    """The client with this id, if its user is active."""
    row = _QUERIES.find_client(conn, client_id=client_id)
    if row is None:
        return None
    return OauthClient(row["id"], row["client_id"], bytes(row["client_secret_hash"]), caller_of(row))


def find_access_token_user(conn: Connection, token_hash: bytes) -> TokenUser | None:
    """The active user whose unexpired access token has this SHA-256."""
    row = _QUERIES.find_access_token_user(conn, token_hash=token_hash)
    return TokenUser(caller_of(row), row["catalogue_version"]) if row else None


def add_access_token(conn: Connection, client: OauthClient, token_hash: bytes, seconds: int) -> bool:
    """Stores a token for so many seconds. Returns False if the client has another secret by now."""
    return bool(
        _QUERIES.add_access_token(
            conn,
            token_hash=token_hash,
            user_id=client.user_id,
            client_secret_hash=client.secret_hash,
            seconds=seconds,
        )
    )


def delete_access_token(conn: Connection, client: OauthClient, token_hash: bytes) -> bool:
    """Returns False if the client has no such token."""
    return bool(_QUERIES.delete_access_token(conn, token_hash=token_hash, user_id=client.user_id))


def forget_expired_tokens(conn: Connection) -> None:
    """Deletes access tokens that have expired."""
    _QUERIES.forget_expired_tokens(conn)
