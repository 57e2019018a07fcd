"""OAuth 2.0 client credentials (RFC 6749, 4.4): who a client is, and the access tokens it gets.

Access tokens are random, and only their SHA-256 is stored (docs/decisions/oauth.md).
"""

import hmac
import re
import secrets

from contactexport import audit
from contactexport.context import Context
from contactexport.errors import Unauthorized
from contactexport.users import oauth_store
from contactexport.users.authenticate import ACCESS_TOKEN_PREFIX, token_hash
from contactexport.users.oauth_store import OauthClient

_CLIENT_ID = re.compile(r"cxc_[0-9a-f]{32}")
_NOBODYS_SECRET = bytes(32)


def new_client_id() -> str:
    """A client id. Its characters need no encoding in a form or in HTTP Basic."""
    return f"cxc_{secrets.token_hex(16)}"


def new_client_secret() -> str:
    """256 random bits. Scanners recognise a leaked secret by the prefix."""
    return f"cxs_{secrets.token_urlsafe(32)}"


def new_access_token() -> str:
    """256 random bits behind the prefix of access tokens."""
    return ACCESS_TOKEN_PREFIX + secrets.token_urlsafe(32)


def authenticate_client(context: Context, client_id: str, client_secret: str) -> OauthClient:
    """The client with this id and secret.

    Raises Unauthorized. Its reason does not show an unknown id, because it may be a secret in the wrong place.
    """
    client = None
    if _CLIENT_ID.fullmatch(client_id):
        with context.database.autocommit() as conn:
            client = oauth_store.find_client(conn, client_id)
    # Unknown clients cost the same work as known ones, so the time of the answer does not tell them apart.
    stored = client.secret_hash if client else _NOBODYS_SECRET
    matches = hmac.compare_digest(token_hash(client_secret), stored)
    if client is None:
        raise Unauthorized("unknown client id")
    if not matches:
        raise Unauthorized(f"wrong client secret of {client.caller.name!r}")
    return client


def store_access_token(context: Context, client: OauthClient, token: str) -> None:
    """Makes a token valid. Raises Unauthorized if the client was revoked or got another secret meanwhile."""
    seconds = context.settings.oauth_token_seconds
    with context.database.autocommit() as conn:
        if not oauth_store.add_access_token(conn, client, token_hash(token), seconds):
            raise Unauthorized(f"client of {client.caller.name!r} revoked meanwhile")
    audit.note("token issued", user=client.caller.name, client=client.client_id, seconds=seconds)


def revoke_access_token(context: Context, client: OauthClient, token: str) -> None:
    """Ends a token of the client at once. Ignores an unknown token, and that of another client (RFC 7009, 2.2)."""
    with context.database.autocommit() as conn:
        if oauth_store.delete_access_token(conn, client, token_hash(token)):
            audit.note("token revoked", user=client.caller.name, client=client.client_id)
