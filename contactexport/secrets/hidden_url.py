"""Masks what may be secret in the URL of another service, so that it can be shown and stored."""

import re

QUERY = re.compile(r"[?#].*", re.DOTALL)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A host name is followed by a port. Anything else is a password whose @ is missing.
NO_PORT = re.compile(r"(//[^/?#\[\]:]*:)(?!\d{0,5}(?:[/?#]|$))[^/?#]*")


def has_secrets(url: str) -> bool:
    """True when it has a user, a query or a fragment, which hold passwords and tokens."""
    return any(character in url for character in "@?#")


def hidden(url: str) -> str:
    """The text with *** for everything that may be secret. Applying it twice changes nothing more.

    >>> hidden("https://anna:secret@www.example.com/exported?token=1")
    'https://***@www.example.com/exported?***'
    """
    prefix = SCHEME.match(url)
    scheme, rest = (prefix[0], url[prefix.end() :]) if prefix else ("", url)
    location, query = QUERY.sub("", rest), QUERY.search(rest)
    if "@" in location:
        location = "***@" + location.rpartition("@")[2]
    elif query and "@" in query[0]:  # what looks like a host may be the start of a password with ? or #
        location = "***"
    return NO_PORT.sub(r"\1***", scheme + location) + ("?***" if query else "")
