"""OAuth 2.0 client credentials (RFC 6749, 4.4): who a client is, and the access tokens it gets.

Access tokens are random, and only their SHA-256 is stored (docs/decisions/oauth.md).
"""

import hmac
import re
import secrets

from contactexport import audit_log
from contactexport.backend import Backend
from contactexport.db import oauth_repository
from contactexport.db.oauth_repository import OauthClient
from contactexport.errors import Unauthorized
from contactexport.services.authenticate import ACCESS_TOKEN_PREFIX, token_hash

_CLIENT_ID = re.compile(r"cxc_[0-9a-f]{32}")
_NOBODYS_SECRET = bytes(32)


def new_client_id() -> str:
    """A client id, in characters that need no encoding in a form or in HTTP Basic."""
    return f"cxc_{secrets.token_hex(16)}"


def new_client_secret() -> str:
    """256 random bits behind a prefix by which scanners recognise a leaked secret."""
    return f"cxs_{secrets.token_urlsafe(32)}"


def new_access_token() -> str:
    """256 random bits behind the prefix of access tokens."""
    return ACCESS_TOKEN_PREFIX + secrets.token_urlsafe(32)


def authenticate_client(backend: Backend, client_id: str, client_secret: str) -> OauthClient:
    """The client of this id and secret.

    Raises Unauthorized; its reason names no id that is unknown, since a secret may have been sent in its place.
    """
    client = None
    if _CLIENT_ID.fullmatch(client_id):
        with backend.database.autocommit() as conn:
            client = oauth_repository.find_client(conn, client_id)
    # Unknown clients cost the same work as known ones, so the time of the answer does not tell them apart.
    stored = client.secret_hash if client else _NOBODYS_SECRET
    matches = hmac.compare_digest(token_hash(client_secret), stored)
    if client is None:
        raise Unauthorized("unknown client id")
    if not matches:
        raise Unauthorized(f"wrong client secret of {client.caller.name!r}")
    return client


def store_access_token(backend: Backend, client: OauthClient, token: str) -> None:
    """Makes a token valid. Raises Unauthorized when the client was revoked or got another secret meanwhile."""
    seconds = backend.settings.oauth_token_seconds
    with backend.database.autocommit() as conn:
        if not oauth_repository.add_access_token(conn, client, token_hash(token), seconds):
            raise Unauthorized(f"client of {client.caller.name!r} revoked meanwhile")
    audit_log.note("token issued", user=client.caller.name, client=client.client_id, seconds=seconds)


def revoke_access_token(backend: Backend, client: OauthClient, token: str) -> None:
    """Ends a token of the client at once. One that is unknown or another client's is left alone (RFC 7009, 2.2)."""
    with backend.database.autocommit() as conn:
        if oauth_repository.delete_access_token(conn, client, token_hash(token)):
            audit_log.note("token revoked", user=client.caller.name, client=client.client_id)
