"""Reads ftp://user@host:port/folder (RFC 1738, 3.2). ftps:// asks for TLS."""

from typing import Any
from urllib.parse import unquote, urlsplit

from contactexport.errors import InvalidRequest

EXPECTED = "ftp://user@host:port/folder expected, or ftps:// for TLS"


def ftp_settings_from_url(url: str) -> dict[str, Any]:
    """Returns the parameter ftp_settings without its password. Raises InvalidRequest.

    The folder is relative to the home folder. A second slash makes it absolute: ftp://user@host//srv/in.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidRequest(f"Invalid value for --ftp: {EXPECTED}") from None
    if parts.password is not None:
        raise InvalidRequest("Invalid value for --ftp: leave the password out of the URL, the command asks for it")
    if parts.scheme not in {"ftp", "ftps"} or not parts.hostname or not parts.username or parts.query or parts.fragment:
        raise InvalidRequest(f"Invalid value for --ftp: {url}: {EXPECTED}")
    return {
        "host": parts.hostname,
        "port": port,
        "username": unquote(parts.username),
        "folder": unquote(parts.path.removeprefix("/")) or None,
        "tls": int(parts.scheme == "ftps"),
    }
