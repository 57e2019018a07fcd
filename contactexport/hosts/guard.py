"""Keeps connections to hosts that users name (FTP hosts, notification URLs) away from our own networks.

A name is resolved once and every address is checked. The caller connects to the address that it gets back, so a name
that resolves differently a moment later (DNS rebinding) does no harm.
"""

import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from contactexport.errors import HostRefused, HostUnknown
from contactexport.hosts.parse import Address, AllowedHost, parse_host, unmapped

logger = logging.getLogger(__name__)

Resolver = Callable[[str, int], Iterable[str]]

# The IANA IPv4 Special-Purpose Address Registry, multicast (224/4), reserved (240/4), and 168.63.129.16. At this public
# address machines in Azure reach the platform itself.
CLOSED_IPV4 = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("168.63.129.16/32"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
)
# Only global unicast is public, except documentation and assignments of the IETF such as Teredo.
OPEN_IPV6 = IPv6Network("2000::/3")
CLOSED_IPV6 = (IPv6Network("2001::/23"), IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
NAT64 = IPv6Network("64:ff9b::/96")
LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def is_public(address: Address) -> bool:
    """Tells whether the address, and any IPv4 address embedded in it, is on the public internet."""
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in CLOSED_IPV4)
    # Packets may end up at the embedded address: NAT64 (RFC 6052), ISATAP (RFC 5214, 6.1), 6to4 (RFC 3056).
    is_isatap = (int(address) >> 32 & 0xFCFFFFFF) == 0x00005EFE
    embedded = IPv4Address(address.packed[-4:]) if address in NAT64 or is_isatap else address.sixtofour
    if embedded is not None and not is_public(embedded):
        return False
    return address in NAT64 or (address in OPEN_IPV6 and not any(address in network for network in CLOSED_IPV6))


def system_addresses(name: str, port: int) -> list[str]:
    """Returns the addresses of a name from the resolver of this machine, best first. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]


class NetworkGuard:
    """Lets through public addresses and what CONTACTEXPORT_ALLOWED_HOSTS allows.

    An allowed name may have any address. For other names, every address must be public or allowed.
    """

    def __init__(self, allowed_hosts: Iterable[AllowedHost], resolver: Resolver = system_addresses) -> None:
        self._allowed = tuple(allowed_hosts)
        self._resolver = resolver

    def check_literal(self, host: str, port: int) -> None:
        """Raises HostRefused for what can be checked without a name server: addresses in any spelling, localhost, and
        invalid hosts.

        `resolve` checks all other names by their addresses, those of local networks included.
        """
        parsed = _parsed(host)
        if not isinstance(parsed, str):
            self._require_open(parsed, [parsed], port)
            return
        # These names are the loopback address everywhere (RFC 6761, 6.3).
        if parsed == "localhost" or parsed.endswith(".localhost"):
            opened = any(entry.allows_address(address, port) for entry in self._allowed for address in LOOPBACK)
            if not opened and not self._allows_name(parsed, port):
                raise _not_public(parsed)

    def resolve(self, host: str, port: int) -> str:
        """Returns the numeric address to connect to.

        Raises HostRefused if connections to it are not allowed, HostUnknown if the name has no address now.
        """
        parsed = _parsed(host)
        if not isinstance(parsed, str):
            self._require_open(parsed, [parsed], port)
            return str(parsed)
        try:
            addresses = [unmapped(ip_address(address)) for address in self._resolver(parsed, port)]
        except OSError as error:
            logger.info("host %s not resolved: %s", parsed, error)
            addresses = []
        if not addresses:
            raise HostUnknown(f"Host {parsed} has no address")
        if not self._allows_name(parsed, port):
            self._require_open(parsed, addresses, port)
        return str(addresses[0])

    def _require_open(self, host: Address | str, addresses: Iterable[Address], port: int) -> None:
        for address in addresses:
            allowed = any(entry.allows_address(address, port) for entry in self._allowed)
            if not allowed and not is_public(address):
                # The user must not learn the addresses of our network, so they are in the log only.
                logger.warning("connection refused: host=%s address=%s port=%d is not public", host, address, port)
                raise _not_public(host)

    def _allows_name(self, name: str, port: int) -> bool:
        return any(entry.allows_name(name, port) for entry in self._allowed)


def _parsed(host: str) -> Address | str:
    try:
        return parse_host(host)
    except ValueError as error:
        raise HostRefused(f"Invalid host {host!r}: {error}") from None


def _not_public(host: Address | str) -> HostRefused:
    return HostRefused(f"Host {host} is not on the public internet")
