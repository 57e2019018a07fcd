"""Adds, changes, lists and revokes the users of the API, and rotates their credentials."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.errors import UsageError
from contactexport.users import oauth, store
from contactexport.users.authenticate import token_hash
from contactexport.users.models import role_of
from contactexport.users.store import ApiUser, Credentials, Rights
from contactexport.users.wsse import LONGEST_USERNAME

DEFAULT_RIGHTS = Rights()
TOKEN_PREFIX = "cx_"  # noqa: S105 - a prefix by which scanners recognise a leaked token, not a token


@dataclass(frozen=True)
class NewCredentials:
    """The new credentials in plain text, shown only once. None for a kind that was not created."""

    username: str
    secret: str | None
    token: str | None
    token_expires_at: datetime | None
    client_id: str | None
    client_secret: str | None

    @property
    def kinds(self) -> list[str]:
        """Which kinds of credentials were created, for the audit log."""
        made = {"token": self.token, "wsse": self.secret, "oauth": self.client_secret}
        return [kind for kind, value in made.items() if value is not None]


def add_user(
    context: Context,
    name: str,
    *,
    with_wsse: bool,
    with_token: bool,
    with_oauth: bool = False,
    expires: str | None = None,
    rights: Rights = DEFAULT_RIGHTS,
) -> NewCredentials:
    """Adds a user. If no kind of credentials is requested, it gets a WSSE secret and a token.

    The name of a revoked user may be used again. Raises UsageError for a name that is taken or not allowed, and for an
    invalid `expires`.
    """
    require_name("user", name)
    require_name("team", rights.team)
    if not (with_wsse or with_token or with_oauth):
        with_wsse = with_token = True
    if expires is not None and not with_token:
        raise UsageError("--expires is for tokens: give --token too")
    new = _make(name, with_wsse, with_token, _expiry(context, expires), oauth.new_client_id() if with_oauth else None)
    with context.database.transaction() as conn:
        if not store.add_user(conn, name, _stored(context, new), rights):
            raise UsageError(f"User {name!r} exists already: `flask users rotate` makes new credentials")
    return new


def set_user(context: Context, name: str, expires: str | None, rights: Mapping[str, Any]) -> ApiUser:
    """Changes the rights of a user and the end of its token. Returns the changed user.

    `rights` are the attributes of Rights that change. They count from the next request on. Secrets stay. Raises
    UsageError for an unknown or revoked user, for a team name that is not allowed, and for an invalid `expires`.
    """
    require_name("team", rights.get("team", DEFAULT_RIGHTS.team))
    with context.database.transaction() as conn:
        user = _locked(conn, name)
        if expires is not None and not user.has_token:
            raise UsageError(f"User {name!r} has no token that could expire")
        store.set_rights(conn, name, replace(user.rights, **rights))
        if expires is not None:
            store.set_token_expiry(conn, name, _expiry(context, expires))
        return _locked(conn, name)


def rotate_user(
    context: Context,
    name: str,
    *,
    with_wsse: bool,
    with_token: bool,
    with_oauth: bool = False,
    replay: str | None = None,
    expires: str | None = None,
) -> NewCredentials:
    """Replaces the requested kinds of credentials, or all that the user has. The former ones end at once.

    Without `expires` a new token ends when the former one would have. An OAuth client keeps its id, and its access
    tokens end. Raises UsageError for an unknown or revoked user, and if the former token has expired.
    """
    with context.database.transaction() as conn:
        user = _locked(conn, name)
        if not (with_wsse or with_token or with_oauth):
            with_wsse, with_token, with_oauth = user.has_wsse, user.has_token, user.has_oauth
        if expires is not None and not with_token:
            raise UsageError("--expires is for tokens: give --token too")
        expires_at = None
        if with_token:
            former = user.token_expires_at
            if expires is None and former is not None and former <= datetime.now(UTC):
                raise UsageError(
                    f"The former token expired on {former:%F}: say with --expires how long the new one is to last"
                )
            expires_at = former if expires is None else _expiry(context, expires)
        client_id = user.client_id or oauth.new_client_id() if with_oauth else None
        new = _make(name, with_wsse, with_token, expires_at, client_id)
        store.replace_credentials(conn, name, _stored(context, new))
        if replay:
            store.set_rights(conn, name, replace(user.rights, replay=replay))
    return new


def revoke_user(context: Context, name: str) -> None:
    """Ends a user's credentials and access tokens at once. Raises UsageError for an unknown or revoked user."""
    with context.database.transaction() as conn:
        if not store.revoke_user(conn, name):
            raise UsageError(f"No active user {name!r}")


def told(rights: Rights, token_expires_at: datetime | None) -> dict[str, Any]:
    """What the audit log tells of a user who was added or changed. A limit of the settings is absent."""
    ends = None if token_expires_at is None else token_expires_at.isoformat(timespec="seconds")
    roles = ("operator", "viewer")
    shown = {name: value for name, value in vars(rights).items() if name not in roles}
    return {"role": role_of(rights) or "team", **shown, "token_expires": ends}


def list_users(context: Context) -> list[ApiUser]:
    """All users by name, revoked ones included."""
    with context.database.transaction() as conn:
        return store.list_users(conn)


def _locked(conn: Connection, name: str) -> ApiUser:
    user = store.lock_active_user(conn, name)
    if user is None:
        raise UsageError(f"No active user {name!r}")
    return user


def _make(
    name: str, with_wsse: bool, with_token: bool, expires_at: datetime | None, client_id: str | None
) -> NewCredentials:
    return NewCredentials(
        username=name,
        secret=secrets.token_urlsafe(32) if with_wsse else None,
        token=TOKEN_PREFIX + secrets.token_urlsafe(32) if with_token else None,
        token_expires_at=expires_at,
        client_id=client_id,
        client_secret=oauth.new_client_secret() if client_id else None,
    )


def _stored(context: Context, new: NewCredentials) -> Credentials:
    return Credentials(
        wsse_secret=context.secrets.encrypt(new.secret) if new.secret else None,
        token_hash=token_hash(new.token) if new.token else None,
        token_expires_at=new.token_expires_at,
        client_id=new.client_id,
        client_secret_hash=token_hash(new.client_secret) if new.client_secret else None,
    )


def require_name(kind: str, name: str) -> None:
    """Raises UsageError for a name that no user or team may have. `kind` is `user` or `team`."""
    allowed = 1 <= len(name) <= LONGEST_USERNAME and name.isprintable() and name == name.strip()
    if not allowed or any(sign in name for sign in "\"'\\"):
        raise UsageError(
            f"Invalid {kind} name {name!r}: 1 to {LONGEST_USERNAME} printable characters expected, "
            "no quotes, no backslash, no space at either end"
        )


def _expiry(context: Context, expires: str | None) -> datetime | None:
    """The end of a token. None for `never`.

    `expires` is like `30d`, or like `2027-01-31`: the end of that day in the service's time zone.
    """
    if expires is None or expires == "never":
        return None
    try:
        days = re.fullmatch(r"([0-9]{1,5})d", expires)
        if days:
            at = datetime.now(UTC) + timedelta(days=int(days[1]))
        else:
            following = date.fromisoformat(expires) + timedelta(days=1)
            at = datetime.combine(following, time(), context.settings.time_zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"Invalid --expires {expires!r}: days like 30d, a date like 2027-01-31, or never expected"
        ) from None
    if at <= datetime.now(UTC):
        raise UsageError(f"Invalid --expires {expires!r}: it lies in the past")
    return at
