"""Who sends a request: the user behind a WSSE header or behind a bearer token.

    authenticate(context, wsse_header, authorization).name  # "anna"

Nothing about a user is cached. Every request asks the database, so every process refuses a revoked token at once.
"""

import hashlib
import logging
import re
import secrets
from functools import lru_cache

from contactexport.context import Context
from contactexport.errors import SecretUnreadable, Unauthorized
from contactexport.secrets.box import SecretBox
from contactexport.users import oauth_store, store, wsse
from contactexport.users.client_rules import remedy
from contactexport.users.models import Caller
from contactexport.users.store import TokenUser, WsseUser

logger = logging.getLogger(__name__)

ACCESS_TOKEN_PREFIX = "cxo_"  # noqa: S105 - the prefix of access tokens, which a user's own token lacks
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,200}=*)", re.IGNORECASE)


def authenticate(context: Context, wsse_header: str | None, authorization: str | None) -> Caller:
    """Who sends the request, the only way into the API. The WSSE header decides if there is one, else Authorization.

    The query that finds the user also reads the version of the catalogue, which makes an older cached copy stale.

    Raises Unauthorized without valid credentials, and SecretUnreadable if the key of the secrets is lost. The log
    says why.
    """
    try:
        user = _wsse_user(context, wsse_header) if wsse_header else _token_user(context, authorization or "")
    except Unauthorized as refusal:
        logger.info("call refused: %s", refusal)
        raise
    except SecretUnreadable as unreadable:
        logger.critical("call not checked: %s", unreadable)
        raise
    context.catalogue.note_version(user.catalogue_version)
    return user.caller


def require_operator(context: Context, authorization: str | None) -> Caller:
    """The operator who sends a bearer token. Raises Unauthorized for anybody else. The log says why."""
    caller = authenticate(context, None, authorization)
    if not caller.operator:
        logger.info("call refused: %r is no operator", caller.name)
        raise Unauthorized(f"{caller.name!r} is no operator")
    return caller


def _token_user(context: Context, authorization: str) -> TokenUser:
    bearer = _BEARER.fullmatch(authorization)
    if not bearer:
        raise Unauthorized("neither a WSSE header nor `Authorization: Bearer TOKEN`")
    token = bearer[1]
    is_access_token = token.startswith(ACCESS_TOKEN_PREFIX)
    find_user = oauth_store.find_access_token_user if is_access_token else store.find_token_user
    with context.database.autocommit() as conn:
        user = find_user(conn, token_hash(token))
    if user is None:
        raise Unauthorized("unknown, expired or revoked token")
    return user


def _wsse_user(context: Context, header: str) -> WsseUser:
    token = wsse.parse(header)
    name, created = token.username, token.created
    with context.database.autocommit() as conn:
        user = store.find_wsse_user(conn, name)
        # An unknown user costs the same work as a known one, so the time of the answer does not tell them apart.
        secret = context.secrets.decrypt(user.wsse_secret if user else _secret_of_nobody(context.secrets))
        matches = wsse.digest_matches(token, secret)
        if user is None or not matches:
            raise Unauthorized(f"WSSE: unknown user or wrong secret: {name!r}")
        rules = user.caller.rules
        if token.created_at.tzinfo is None and not rules.created_without_offset:
            raise Unauthorized(f"WSSE: Created {created} of {name!r} has no offset; {remedy(name)}")
        if not wsse.is_current(token, user.now, context.settings.wsse_window, context.settings.time_zone):
            raise Unauthorized(f"WSSE: Created {created} of {name!r} is too far from {user.now:%FT%TZ}")
        # The nonce is stored last, so that strangers cannot fill the table.
        must_be_new = user.replay == "strict" and not rules.repeated_nonce
        if must_be_new and not store.remember_nonce(conn, user.id, token.nonce, created):
            raise Unauthorized(f"WSSE: nonce used before by {name!r}; {remedy(name)}")
    return user


def token_hash(token: str) -> bytes:
    """What is stored of a token. Tokens are 256 random bits, so nobody can guess one from its plain hash."""
    return hashlib.sha256(token.encode()).digest()


@lru_cache(maxsize=1)
def _secret_of_nobody(box: SecretBox) -> bytes:
    return box.encrypt(secrets.token_urlsafe(32))
