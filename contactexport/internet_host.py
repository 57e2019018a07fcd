"""What a host written by a user means: an address, in whatever spelling, or a name.

Guards that look at the text only are passed by easily: `127.1`, `0x7f000001`, `１２７.０.０.１` and `[::ffff:7f00:1]`
are all the loopback address to a resolver. So a host is read into one canonical form first.
"""

import re
import socket
from ipaddress import IPv4Address, IPv6Address

LONGEST_NAME = 253
Address = IPv4Address | IPv6Address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def parse_host(text: str) -> Address | str:
    """The address, or the name in lower-case ASCII (IDNA) without a trailing dot.

    IPv6 may stand in brackets, IPv4 is read as inet_aton(3) does, and IPv4 mapped into IPv6 becomes IPv4.
    The text may be anything. Raises ValueError saying what is wrong.
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    if ":" in text:
        return _ipv6(text)
    name = _ascii(text)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # no top-level domain is a number, so nothing else can be meant
        return _ipv4(name)
    if len(name) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a host name of letters, digits, hyphens and dots expected, or an IP address")
    return name


def unmapped(address: Address) -> Address:
    """The IPv4 address for one mapped into IPv6 (::ffff:0:0/96), since the kernel connects to that."""
    return getattr(address, "ipv4_mapped", None) or address


def _ascii(text: str) -> str:
    # Before encoding, which takes long for long texts; four signs at most make one of a name.
    if not text or len(text) > 4 * LONGEST_NAME:
        raise ValueError("a host name or an IP address expected")
    try:
        # The mapping that socket itself applies to names; it folds case, full-width forms and other full stops.
        return text.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise ValueError("this is no host name: empty or overlong parts, or signs no name may have") from None


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        raise ValueError("this ends in a number like an IPv4 address, but is none") from None


def _ipv6(text: str) -> Address:
    if "%" in text:
        raise ValueError("an IPv6 address with a zone is of this machine's own network only")
    try:
        return unmapped(IPv6Address(text))
    except ValueError:
        raise ValueError(
            "an IPv6 address expected because of the colon (a port is given apart from the host)"
        ) from None
