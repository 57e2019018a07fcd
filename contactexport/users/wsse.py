"""The WSSE UsernameToken of the Emarsys API: reads the header, checks its digest and its time.

    UsernameToken Username="…", PasswordDigest="…", Nonce="…", Created="…"

The digest is base64 of the hexadecimal SHA-1 of nonce + created + secret. Some clients encode the 20 raw bytes instead,
write blanks instead of commas, or write `usernametoken`. These are accepted too.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from contactexport.errors import Unauthorized

LONGEST_HEADER = 1024
LONGEST_USERNAME = 100
ATTRIBUTES = {"Username", "PasswordDigest", "Nonce", "Created"}

_ATTRIBUTE = r'([A-Za-z]{1,20})="([^"\\]{1,200})"'
_SEPARATOR = r"(?:[ \t]*,[ \t]*|[ \t]+)"
_HEADER = re.compile(rf"(?i:UsernameToken)[ \t]+{_ATTRIBUTE}(?:{_SEPARATOR}{_ATTRIBUTE}){{3}}")
_DIGEST = re.compile(r"[A-Za-z0-9+/]{26,54}={1,2}")
_NONCE = re.compile(r"[!-~]{1,128}")
# The beginning has a fixed length. Otherwise digits could move between the nonce and the time without changing the
# digest, and a replayed call would look new.
_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?")


@dataclass(frozen=True)
class UsernameToken:
    """The four attributes as sent, and `created` as a time. It has no zone if it was sent without an offset."""

    username: str
    digest: str
    nonce: str
    created: str
    created_at: datetime


def parse(header: str) -> UsernameToken:
    """Reads the value of a header. Raises Unauthorized, and nothing else, if it has another form."""
    header = header.strip(" \t\r\n")
    if len(header) > LONGEST_HEADER or not _HEADER.fullmatch(header):
        raise Unauthorized('WSSE: UsernameToken Username="…", PasswordDigest="…", Nonce="…", Created="…" expected')
    values = dict(re.findall(_ATTRIBUTE, header))
    if values.keys() != ATTRIBUTES:  # there are four: if one is missing, another one came twice or is unknown
        raise Unauthorized("WSSE: Username, PasswordDigest, Nonce and Created expected, each once")
    username, digest, created = values["Username"], values["PasswordDigest"], values["Created"]
    if len(username) > LONGEST_USERNAME or not username.isprintable():
        raise Unauthorized("WSSE: Username is too long or has control characters")
    if not _DIGEST.fullmatch(digest) or not _NONCE.fullmatch(values["Nonce"]):
        raise Unauthorized(
            "WSSE: PasswordDigest is not the base64 of a SHA-1, or Nonce is not 1 to 128 ASCII characters"
        )
    if not _CREATED.fullmatch(created):
        raise Unauthorized("WSSE: Created is not ISO 8601 with seconds and an offset, like 2026-01-31T09:30:00Z")
    try:
        created_at = datetime.fromisoformat(created)
    except ValueError:
        raise Unauthorized("WSSE: Created is no date and time that exists") from None
    return UsernameToken(username, digest, values["Nonce"], created, created_at)


def digest_matches(token: UsernameToken, secret: str) -> bool:
    """True for a digest of this secret, in either form. Takes the same time whichever byte differs."""
    sha1 = hashlib.sha1(f"{token.nonce}{token.created}{secret}".encode(), usedforsecurity=False)
    sent = token.digest.encode()
    hexadecimal = hmac.compare_digest(sent, b64encode(sha1.hexdigest().encode()))
    raw = hmac.compare_digest(sent, b64encode(sha1.digest()))
    return hexadecimal or raw


def is_current(token: UsernameToken, now: datetime, window: float, time_zone: tzinfo) -> bool:
    """True if Created is at most `window` seconds before or after `now`.

    Without an offset it is in `time_zone`. When clocks are set back it may mean either of two times.
    """
    times = [token.created_at.replace(tzinfo=token.created_at.tzinfo or time_zone, fold=fold) for fold in (0, 1)]
    return any(abs(time - now) <= timedelta(seconds=window) for time in times)
