"""Where a request comes from, for the audit log: behind proxies that are trusted, what they say of it."""

import ipaddress
import re
from collections.abc import Sequence

from flask import current_app, request

# What config/gunicorn.py keeps in the application's extensions: the networks of FORWARDED_ALLOW_IPS.
TRUSTED_PROXIES = "contactexport trusted proxies"
# Some proxies add the port: 192.0.2.1:5678, [2001:db8::1]:5678.
WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[\d.]+):\d+", re.ASCII)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address() -> str | None:
    """The address of this request's client; None when it is not known, as behind a Unix socket without a header."""
    peer = request.remote_addr or ""
    forwarded_for = request.environ.get("HTTP_X_FORWARDED_FOR")
    if forwarded_for is None:
        return peer or None
    return first_untrusted(peer, forwarded_for, current_app.extensions.get(TRUSTED_PROXIES, ()))


def first_untrusted(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str | None:
    """Goes back from `peer` through X-Forwarded-For, as long as trusted proxies speak.

    What stands before the first address that is not trusted, anybody may have written. A Unix socket is trusted.
    """
    address = _parsed(peer)
    hops = forwarded_for.split(",")
    while hops and (address is None or any(address in network for network in trusted)):
        before = _parsed(hops.pop())
        if before is None:
            break
        address = before
    return None if address is None else str(address)


def _parsed(text: str) -> Address | None:
    found = WITH_PORT.fullmatch(text.strip())
    try:
        address = ipaddress.ip_address((found["v6"] or found["v4"] or "") if found else text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
