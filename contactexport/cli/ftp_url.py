"""Reads ftp://user@host:port/folder (RFC 1738, 3.2), ftps:// for TLS, and sftp://."""

from typing import Any
from urllib.parse import unquote, urlsplit

from contactexport.errors import InvalidRequest

EXPECTED = "ftp://user@host:port/folder expected, or ftps:// for TLS"
SFTP_EXPECTED = "sftp://user@host:port/folder expected"


def ftp_settings_from_url(url: str) -> dict[str, Any]:
    """Returns the parameter ftp_settings without its password. Raises InvalidRequest.

    The folder is relative to the home folder. A second slash makes it absolute: ftp://user@host//srv/in.
    """
    scheme, settings = _read("--ftp", url, {"ftp", "ftps"}, EXPECTED)
    return settings | {"tls": int(scheme == "ftps")}


def sftp_settings_from_url(url: str) -> dict[str, Any]:
    """Returns the parameter sftp_settings without its secrets and the host's key. Raises InvalidRequest."""
    return _read("--sftp", url, {"sftp"}, SFTP_EXPECTED)[1]


def _read(option: str, url: str, schemes: set[str], expected: str) -> tuple[str, dict[str, Any]]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidRequest(f"Invalid value for {option}: {expected}") from None
    if parts.password is not None:
        raise InvalidRequest(f"Invalid value for {option}: leave the password out of the URL, the command asks for it")
    if parts.scheme not in schemes or not parts.hostname or not parts.username or parts.query or parts.fragment:
        raise InvalidRequest(f"Invalid value for {option}: {url}: {expected}")
    return parts.scheme, {
        "host": parts.hostname,
        "port": port,
        "username": unquote(parts.username),
        "folder": unquote(parts.path.removeprefix("/")) or None,
    }
