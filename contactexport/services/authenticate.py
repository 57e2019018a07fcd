"""Who is calling: the caller behind a WSSE header, or behind a bearer token (a user's own or an access token).

The same query tells the version of the catalogue, so that a request need not ask for it.
"""

import hashlib
import logging
import re
import secrets
from functools import lru_cache

from contactexport import wsse
from contactexport.backend import Backend
from contactexport.client_rules import remedy
from contactexport.db import oauth_repository, user_repository
from contactexport.db.user_repository import WsseUser
from contactexport.errors import SecretUnreadable, Unauthorized
from contactexport.models import Caller
from contactexport.secret_box import SecretBox
from contactexport.services import read_catalogue
from contactexport.wsse import UsernameToken

logger = logging.getLogger(__name__)

ACCESS_TOKEN_PREFIX = "cxo_"  # noqa: S105 - a prefix that tells access tokens from users' own tokens, not a token
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,200}=*)", re.IGNORECASE)


def authenticate(backend: Backend, wsse_header: str | None, authorization: str | None) -> Caller:
    """Who is calling. The WSSE header decides when there is one, else the Authorization header.

    Raises Unauthorized when it does not prove who is calling (the log says why), SecretUnreadable when
    the key of the stored secrets was lost.
    """
    try:
        if wsse_header:
            return _wsse_caller(backend, wsse_header)
        return _token_caller(backend, authorization or "")
    except Unauthorized as refusal:
        logger.info("call refused: %s", refusal)
        raise
    except SecretUnreadable as lost:
        logger.critical("call not checked: %s", lost)
        raise


def token_hash(token: str) -> bytes:
    """What is stored of a token. Tokens are 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).digest()


def _wsse_caller(backend: Backend, header: str) -> Caller:
    token = wsse.parse(header)
    with backend.database.autocommit() as conn:
        user = user_repository.find_wsse_user(conn, token.username)
        stored = user.wsse_secret if user else _nobodys_secret(backend.secrets)
        matches = wsse.digest_matches(token, backend.secrets.decrypt(stored))
        if user is None or not matches:
            raise Unauthorized(f"WSSE: unknown user or wrong secret: {token.username!r}")
        _require_current(backend, token, user)
        # Only now, so that strangers cannot fill the table.
        keeps_nonces = user.replay == "strict" and not user.caller.rules.repeated_nonce
        if keeps_nonces and not user_repository.remember_nonce(conn, user.id, token.nonce, token.created):
            raise Unauthorized(f"WSSE: nonce used before by {token.username!r}; {remedy(token.username)}")
    read_catalogue.note_version(backend, user.catalogue_version)
    return user.caller


def _require_current(backend: Backend, token: UsernameToken, user: WsseUser) -> None:
    if token.created_at.tzinfo is None and not user.caller.rules.created_without_offset:
        raise Unauthorized(
            f"WSSE: Created {token.created} of {token.username!r} has no offset; {remedy(token.username)}"
        )
    if not wsse.is_current(token, user.now, backend.settings.wsse_window, backend.settings.time_zone):
        raise Unauthorized(f"WSSE: Created {token.created} of {token.username!r} is too far from {user.now:%FT%TZ}")


def _token_caller(backend: Backend, authorization: str) -> Caller:
    bearer = _BEARER.fullmatch(authorization)
    if not bearer:
        raise Unauthorized("neither a WSSE header nor `Authorization: Bearer TOKEN`")
    is_access_token = bearer[1].startswith(ACCESS_TOKEN_PREFIX)
    find_user = oauth_repository.find_access_token_user if is_access_token else user_repository.find_token_user
    with backend.database.autocommit() as conn:
        user = find_user(conn, token_hash(bearer[1]))
    if user is None:
        raise Unauthorized("unknown, expired or revoked token")
    read_catalogue.note_version(backend, user.catalogue_version)
    return user.caller


@lru_cache(maxsize=1)
def _nobodys_secret(box: SecretBox) -> bytes:
    """Unknown users cost the same work as known ones, so the time of the answer does not tell them apart."""
    return box.encrypt(secrets.token_urlsafe(32))
