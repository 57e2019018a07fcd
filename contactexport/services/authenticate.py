"""Who is calling: the name behind a WSSE header or a bearer token.

The same query tells the version of the catalogue, so that a request need not ask for it.
"""

import hashlib
import logging
import re
import secrets
from functools import lru_cache

from contactexport import wsse
from contactexport.backend import Backend
from contactexport.db import user_repository
from contactexport.errors import SecretUnreadable, Unauthorized
from contactexport.models import Caller
from contactexport.secret_box import SecretBox
from contactexport.services import read_catalogue

logger = logging.getLogger(__name__)

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,200}=*)", re.IGNORECASE)


def authenticate(backend: Backend, wsse_header: str | None, authorization: str | None) -> str:
    """The user's name. The WSSE header decides when there is one, else the Authorization header.

    Raises Unauthorized when it does not prove who is calling (the log says why), SecretUnreadable when
    the key of the stored secrets was lost.
    """
    try:
        if wsse_header:
            return _wsse_user(backend, wsse_header)
        return _token_user(backend, authorization or "")
    except Unauthorized as refusal:
        logger.info("call refused: %s", refusal)
        raise
    except SecretUnreadable as lost:
        logger.critical("call not checked: %s", lost)
        raise


def remembered(backend: Backend, authorization: str | None) -> Caller | None:
    """The caller by what this process remembers of his token, without asking the database; None: it has to be asked.

    Not a proof: whatever is done for him has to be refused if the token is no longer his (see Caller).
    """
    bearer = _BEARER.fullmatch(authorization or "")
    if not bearer:
        return None
    sent = token_hash(bearer[1])
    name = backend.tokens.name_behind(sent)
    return None if name is None else Caller(name, sent)


def token_hash(token: str) -> bytes:
    """What is stored of a token. Tokens are 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).digest()


def _wsse_user(backend: Backend, header: str) -> str:
    token = wsse.parse(header)
    with backend.database.autocommit() as conn:
        user = user_repository.find_wsse_user(conn, token.username)
        stored = user.wsse_secret if user else _nobodys_secret(backend.secrets)
        matches = wsse.digest_matches(token, backend.secrets.decrypt(stored))
        if user is None or not matches:
            raise Unauthorized(f"WSSE: unknown user or wrong secret: {token.username!r}")
        if not wsse.is_current(token, user.now, backend.settings.wsse_window):
            raise Unauthorized(f"WSSE: Created {token.created} of {user.name!r} is too far from {user.now:%FT%TZ}")
        # Only now, so that strangers cannot fill the table.
        if user.replay == "strict" and not user_repository.remember_nonce(conn, user.id, token.nonce, token.created):
            raise Unauthorized(f"WSSE: nonce used before by {user.name!r}")
    read_catalogue.note_version(backend, user.catalogue_version)
    return user.name


def _token_user(backend: Backend, authorization: str) -> str:
    bearer = _BEARER.fullmatch(authorization)
    if not bearer:
        raise Unauthorized("neither a WSSE header nor `Authorization: Bearer TOKEN`")
    sent = token_hash(bearer[1])
    with backend.database.autocommit() as conn:
        user = user_repository.find_token_user(conn, sent)
    if user is None:
        backend.tokens.forget(sent)
        raise Unauthorized("unknown, expired or revoked token")
    backend.tokens.note(sent, user.name)
    read_catalogue.note_version(backend, user.catalogue_version)
    return user.name


@lru_cache(maxsize=1)
def _nobodys_secret(box: SecretBox) -> bytes:
    """Unknown users cost the same work as known ones, so the time of the answer does not tell them apart."""
    return box.encrypt(secrets.token_urlsafe(32))
