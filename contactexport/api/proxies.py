"""The address of a client behind proxies: the one that trusted proxies report in X-Forwarded-For."""

import ipaddress
import re
from collections.abc import Sequence

# The key of the application's extensions under which config/gunicorn.py stores the networks of FORWARDED_ALLOW_IPS.
TRUSTED_PROXIES = "contactexport trusted proxies"
# Some proxies add the port: 192.0.2.1:5678, [2001:db8::1]:5678.
WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[\d.]+):\d+", re.ASCII)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def first_untrusted(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str | None:
    """Walks back from `peer` through X-Forwarded-For, up to and including the first address that is not trusted.

    Anybody may have written the addresses before that one. A Unix socket is trusted.
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
