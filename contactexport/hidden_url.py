"""What may be shown and stored of a URL that somebody else's service is called by."""

import re

QUERY = re.compile(r"[?#].*", re.DOTALL)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Behind a host's name stands its port. Anything else is a password whose @ was forgotten.
NO_PORT = re.compile(r"(//[^/?#\[\]:]*:)(?!\d{0,5}(?:[/?#]|$))[^/?#]*")


def has_secrets(url: str) -> bool:
    """True when it has a user, a query or a fragment: passwords and tokens stand there."""
    return any(sign in url for sign in "@?#")


def hidden(url: str) -> str:
    """The URL, or what was sent as one, with *** in place of all that may be secret; may be applied twice.

    >>> hidden("https://anna:secret@www.example.com/exported?token=1")
    'https://***@www.example.com/exported?***'
    """
    found = SCHEME.match(url)
    scheme, rest = (found[0], url[found.end() :]) if found else ("", url)
    shown, query = QUERY.sub("", rest), QUERY.search(rest)
    if "@" in shown:
        shown = "***@" + shown.rpartition("@")[2]
    elif query and "@" in query[0]:  # what seems to be a host may be the beginning of a password with ? or #
        shown = "***"
    return NO_PORT.sub(r"\1***", scheme + shown) + ("?***" if query else "")
