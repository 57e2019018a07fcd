"""The table api_user, and the nonces that its users have sent."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.users.client_rules import COMPATIBLE, STRICT
from contactexport.users.models import DEFAULT_TEAM, Caller, role_of

_QUERIES = queries("user")


@dataclass(frozen=True)
class WsseUser:
    """What the check of a WSSE header needs. `now` is the database's clock."""

    id: int
    caller: Caller
    wsse_secret: bytes
    replay: str
    now: datetime
    catalogue_version: int


@dataclass(frozen=True)
class TokenUser:
    """The user of a token."""

    caller: Caller
    catalogue_version: int


@dataclass(frozen=True)
class ApiUser:
    """A user in the list, without secrets."""

    name: str
    has_wsse: bool
    has_token: bool
    has_oauth: bool
    client_id: str | None
    token_expires_at: datetime | None
    replay: str
    team: str
    operator: bool
    viewer: bool
    compatible: bool
    requests_per_minute: int | None
    exports_per_user: int | None
    created_at: datetime
    revoked_at: datetime | None

    @property
    def role(self) -> str | None:
        """`operator`, `viewer`, or None: a user of a team."""
        return role_of(self)

    @property
    def rights(self) -> "Rights":
        """What the user may do."""
        return Rights(**{one.name: getattr(self, one.name) for one in fields(Rights)})


@dataclass(frozen=True)
class Rights:
    """What a user may do. A limit that is None is the one of the settings."""

    replay: str = "strict"
    team: str = DEFAULT_TEAM
    operator: bool = False
    viewer: bool = False
    compatible: bool = False
    requests_per_minute: int | None = None
    exports_per_user: int | None = None


@dataclass(frozen=True)
class Credentials:
    """New credentials as stored: the WSSE secret is encrypted, the others are SHA-256 hashes."""

    wsse_secret: bytes | None
    token_hash: bytes | None
    token_expires_at: datetime | None
    client_id: str | None
    client_secret_hash: bytes | None


def find_wsse_user(conn: Connection, name: str) -> WsseUser | None:
    """The active user with this name, if it has a WSSE secret."""
    row = _QUERIES.find_wsse_user(conn, name=name)
    if row is None:
        return None
    return WsseUser(
        row["id"], caller_of(row), bytes(row["wsse_secret"]), row["replay"], row["now"], row["catalogue_version"]
    )


def find_token_user(conn: Connection, token_hash: bytes) -> TokenUser | None:
    """The active user whose unexpired token has this SHA-256."""
    row = _QUERIES.find_token_user(conn, token_hash=token_hash)
    return TokenUser(caller_of(row), row["catalogue_version"]) if row else None


def remember_nonce(conn: Connection, user_id: int, nonce: str, created: str) -> bool:
    """Returns False if the user has sent this nonce with this time before. A simultaneous repetition waits."""
    return bool(_QUERIES.remember_nonce(conn, user_id=user_id, nonce=nonce, created=created))


def forget_old_nonces(conn: Connection, window: float) -> int:
    """Deletes the nonces that no valid header can carry any more. Returns how many.

    A header is valid from `window` seconds before its time to `window` seconds after it. The additional minute covers
    checks that are running.
    """
    return int(_QUERIES.forget_nonces(conn, seconds=2 * window + 60))


def forget_ended_sessions(conn: Connection) -> None:
    """Deletes the sessions and links of the console that are over."""
    queries("console_session").forget_sessions(conn)


def add_user(conn: Connection, name: str, credentials: Credentials, rights: Rights) -> bool:
    """Adds a user, or brings a revoked one back. Returns False if an active user has the name."""
    return bool(_QUERIES.add_user(conn, name=name, **vars(credentials), **vars(rights)))


def lock_active_user(conn: Connection, name: str) -> ApiUser | None:
    """The active user with this name, locked until the transaction ends."""
    row = _QUERIES.lock_active_user(conn, name=name)
    return ApiUser(**row) if row else None


def list_users(conn: Connection) -> list[ApiUser]:
    """All users by name, with the revoked ones."""
    return [ApiUser(**row) for row in _QUERIES.list_users(conn)]


def page(conn: Connection, name: str | None, after: str | None, most: int) -> list[ApiUser]:
    """At most `most` users by name, those after `after`, revoked ones included. `name`: only this one."""
    return [ApiUser(**row) for row in _QUERIES.page_of_users(conn, name=name, after=after, most=most)]


def replace_credentials(conn: Connection, name: str, credentials: Credentials) -> None:
    """Replaces the credentials that are given. The others stay.

    A new client secret ends the access tokens of the former one. A new token ends the sessions of the former one, and
    the links that would open one.
    """
    if credentials.wsse_secret:
        _QUERIES.set_wsse_secret(conn, name=name, wsse_secret=credentials.wsse_secret)
    if credentials.token_hash:
        _QUERIES.set_token(
            conn, name=name, token_hash=credentials.token_hash, token_expires_at=credentials.token_expires_at
        )
        queries("console_session").delete_links(conn, name=name)
    if credentials.client_secret_hash:
        _QUERIES.set_client(
            conn,
            name=name,
            client_id=credentials.client_id,
            client_secret_hash=credentials.client_secret_hash,
        )
        queries("oauth").delete_access_tokens(conn, name=name)


def set_rights(conn: Connection, name: str, rights: Rights) -> None:
    """Replaces what a user may do."""
    _QUERIES.set_rights(conn, name=name, **vars(rights))


def set_token_expiry(conn: Connection, name: str, token_expires_at: datetime | None) -> None:
    """Changes when a user's token ends. None: never."""
    _QUERIES.set_token_expiry(conn, name=name, token_expires_at=token_expires_at)


def revoke_user(conn: Connection, name: str) -> bool:
    """Ends a user's credentials and access tokens. Returns False if no active user has the name."""
    revoked = bool(_QUERIES.revoke_user(conn, name=name))
    queries("oauth").delete_access_tokens(conn, name=name)
    queries("console_session").delete_sessions(conn, name=name)
    return revoked


def caller_of(row: Mapping[str, Any]) -> Caller:
    """Who sends a request, from a row of api_user."""
    return Caller(
        row["name"],
        row["team"],
        operator=row["operator"],
        viewer=row["viewer"],
        rules=COMPATIBLE if row["compatible"] else STRICT,
        requests_per_minute=row["requests_per_minute"],
        exports_per_user=row["exports_per_user"],
    )
