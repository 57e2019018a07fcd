"""Makes WSSE headers like a client."""

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta


def wsse_header(
    username: str,
    secret: str,
    *,
    nonce: str | None = None,
    seconds_ago: float = 0,
    created: str | None = None,
) -> str:
    """A header with the right digest for the secret."""
    nonce = nonce or secrets.token_hex(16)
    created = created or f"{datetime.now(UTC) - timedelta(seconds=seconds_ago):%FT%TZ}"
    sha1 = hashlib.sha1(f"{nonce}{created}{secret}".encode(), usedforsecurity=False).hexdigest()
    digest = base64.b64encode(sha1.encode()).decode()
    parts = {"Username": username, "PasswordDigest": digest, "Nonce": nonce, "Created": created}
    return "UsernameToken " + ", ".join(f'{key}="{value}"' for key, value in parts.items())
