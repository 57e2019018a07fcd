"""Parses hosts that users write (an address in any spelling, or a name), and CONTACTEXPORT_ALLOWED_HOSTS.

A check of the text alone is easy to evade: `127.1`, `0x7f000001`, `１２７.０.０.１` and `[::ffff:7f00:1]` are all the
loopback address to a resolver. So every host is brought into one canonical form first.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

MAX_NAME_LENGTH = 253
Address = IPv4Address | IPv6Address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BRACKETED = re.compile(r"\[([^\[\]]*:[^\[\]]*)\](?::([0-9]+))?")
_PLAIN = re.compile(r"([^:]+)(?::([0-9]+))?")
EXPECTED = (
    "ftp.intern.example, *.intern.example, 10.0.0.0/8 or ::1 expected, with :port if only one is meant ([::1]:2121)"
)


def parse_host(text: str) -> Address | str:
    """Returns the address, or the name in lower-case ASCII (IDNA) without a trailing dot.

    IPv6 may be in brackets. IPv4 is read as inet_aton(3) does. IPv4 mapped into IPv6 becomes IPv4.
    Raises ValueError with the reason if the text is not a host.

    >>> parse_host("0x7f.1"), parse_host("FTP.Bücher.example.")
    (IPv4Address('127.0.0.1'), 'ftp.xn--bcher-kva.example')
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    if ":" in text:
        return _ipv6(text)
    # Encoding a long text takes long. At most four characters of the text become one of the name.
    if not text or len(text) > 4 * MAX_NAME_LENGTH:
        raise ValueError("a host name or an IP address expected")
    try:
        # socket itself encodes names this way. It folds case, full-width forms and other full stops.
        name = text.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise ValueError(
            "not a host name: it has empty or overlong parts, or characters that are not allowed"
        ) from None
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # no top-level domain is a number, so this must be an address
        try:
            return IPv4Address(socket.inet_aton(name))
        except OSError:
            raise ValueError("it ends in a number like an IPv4 address, but is not one") from None
    if len(name) > MAX_NAME_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a host name of letters, digits, hyphens and dots expected, or an IP address")
    return name


def unmapped(address: Address) -> Address:
    """Returns the IPv4 address if it is mapped into IPv6 (::ffff:0:0/96), because the kernel connects to that."""
    return getattr(address, "ipv4_mapped", None) or address


def _ipv6(text: str) -> Address:
    if "%" in text:
        raise ValueError("an IPv6 address with a zone belongs to this machine's own network")
    try:
        return unmapped(IPv6Address(text))
    except ValueError:
        raise ValueError("an IPv6 address expected because of the colon (the port is a separate setting)") from None


@dataclass(frozen=True)
class AllowedHost:
    """A network, a name, or with `subdomains` all names below it. It holds for one port, or for all if `port` is None.

    Either `network` or `name` is None.
    """

    network: IPv4Network | IPv6Network | None
    name: str | None
    subdomains: bool
    port: int | None

    def allows_address(self, address: Address, port: int) -> bool:
        """Tells whether the address is in the network and the port matches."""
        return self.network is not None and address in self.network and self.port in {None, port}

    def allows_name(self, name: str, port: int) -> bool:
        """Tells whether the name, in the form of `parse_host`, and the port match."""
        same = name.endswith(f".{self.name}") if self.subdomains else name == self.name
        return self.name is not None and same and self.port in {None, port}


def parse_allowed_hosts(text: str) -> tuple[AllowedHost, ...]:
    """Returns the hosts that may be connected to although they are not public.

    The entries are separated by commas. Raises ValueError with the first invalid entry.
    """
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    allowed = []
    for entry in entries:
        try:
            allowed.append(_parse_entry(entry))
        except ValueError as error:
            raise ValueError(f"{entry!r} is not a valid entry ({error}): {EXPECTED}") from None
    return tuple(allowed)


def _parse_entry(entry: str) -> AllowedHost:
    host, port = _split_port(entry)
    if "/" in host:
        network = ip_network(host)
        if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
            raise ValueError("write an IPv4 network as IPv4")
        return AllowedHost(network, None, False, port)
    subdomains = host.startswith("*.")
    parsed = parse_host(host.removeprefix("*."))
    if isinstance(parsed, str):
        return AllowedHost(None, parsed, subdomains, port)
    if subdomains:
        raise ValueError("a name expected after the asterisk")
    return AllowedHost(ip_network(parsed), None, False, port)


def _split_port(entry: str) -> tuple[str, int | None]:
    """Host and port. IPv6 with a port is in brackets, prefix length included. Without a port it may be bare."""
    parts = _BRACKETED.fullmatch(entry) or _PLAIN.fullmatch(entry)
    if parts is None:
        return entry, None
    port = int(parts[2]) if parts[2] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("a port from 1 to 65535 expected")
    return parts[1], port
