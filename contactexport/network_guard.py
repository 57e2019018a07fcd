"""Keeps connections to hosts that users name (FTP hosts, notification URLs) away from our own networks.

A name is resolved once, every address is judged, and the caller connects to the address it gets back: a name
that answers differently a moment later (DNS rebinding) gains nothing.
"""

import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from contactexport.allowed_hosts import AllowedHost
from contactexport.errors import HostRefused, HostUnknown
from contactexport.internet_host import Address, parse_host, unmapped

logger = logging.getLogger(__name__)

Resolver = Callable[[str, int], Iterable[str]]

# The IANA IPv4 Special-Purpose Address Registry, multicast (224/4), reserved (240/4), and one public address behind
# which a cloud's machines reach that cloud's own platform.
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
# Only global unicast is public; of that not the IETF's own assignments (Teredo among them) and documentation.
OPEN_IPV6 = IPv6Network("2000::/3")
CLOSED_IPV6 = (IPv6Network("2001::/23"), IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
NAT64 = IPv6Network("64:ff9b::/96")
LOCALHOST = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def is_public(address: Address) -> bool:
    """True when the address is of the public internet, and so is an IPv4 address inside it."""
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in CLOSED_IPV4)
    inner = _inner_ipv4(address)
    if inner is not None and not is_public(inner):
        return False
    return address in NAT64 or (address in OPEN_IPV6 and not any(address in network for network in CLOSED_IPV6))


def system_addresses(name: str, port: int) -> list[str]:
    """The addresses of a name, best one first, as this machine's resolver finds them. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]


class NetworkGuard:
    """Lets through public addresses and what CONTACTEXPORT_ALLOWED_HOSTS allows.

    An allowed name may have any address; of another name every address must be public or allowed.
    """

    def __init__(self, allowed_hosts: Iterable[AllowedHost], resolver: Resolver = system_addresses) -> None:
        self._allowed = tuple(allowed_hosts)
        self._resolver = resolver

    def check_literal(self, host: str, port: int) -> None:
        """Refuses what is known without a name server: addresses in any spelling, localhost, and what is no host.

        Other names, those of local networks included, are judged when they are connected to, by their addresses.
        Raises HostRefused.
        """
        parsed = _parsed(host)
        if not isinstance(parsed, str):
            self._require_open(parsed, [parsed], port)
        elif _is_localhost(parsed) and not self._allows_localhost(parsed, port):
            raise _not_public(parsed)

    def resolve(self, host: str, port: int) -> str:
        """The one numeric address to connect to.

        Raises HostRefused when it may not be connected to, HostUnknown when the name has no address now.
        """
        parsed = _parsed(host)
        if not isinstance(parsed, str):
            self._require_open(parsed, [parsed], port)
            return str(parsed)
        addresses = self._look_up(parsed, port)
        if not self._allows_name(parsed, port):
            self._require_open(parsed, addresses, port)
        return str(addresses[0])

    def _look_up(self, name: str, port: int) -> list[Address]:
        try:
            addresses = [unmapped(ip_address(found)) for found in self._resolver(name, port)]
        except OSError as error:
            logger.info("host %s not resolved: %s", name, error)
            addresses = []
        if not addresses:
            raise HostUnknown(f"Host {name} has no address")
        return addresses

    def _require_open(self, host: Address | str, addresses: Iterable[Address], port: int) -> None:
        for address in addresses:
            if not self._is_open(address, port):
                # Which address a name of our network has is for the log, not for the user.
                logger.warning("connection refused: host=%s address=%s port=%d is not public", host, address, port)
                raise _not_public(host)

    def _is_open(self, address: Address, port: int) -> bool:
        return is_public(address) or any(entry.allows_address(address, port) for entry in self._allowed)

    def _allows_localhost(self, name: str, port: int) -> bool:
        return self._allows_name(name, port) or any(self._is_open(address, port) for address in LOCALHOST)

    def _allows_name(self, name: str, port: int) -> bool:
        return any(entry.allows_name(name, port) for entry in self._allowed)


def _parsed(host: str) -> Address | str:
    try:
        return parse_host(host)
    except ValueError as error:
        raise HostRefused(f"Invalid host {host!r}: {error}") from None


def _not_public(host: Address | str) -> HostRefused:
    return HostRefused(f"Host {host} is not on the public internet")


def _is_localhost(name: str) -> bool:
    """RFC 6761, 6.3: these names are the loopback address everywhere."""
    return name == "localhost" or name.endswith(".localhost")


def _inner_ipv4(address: IPv6Address) -> IPv4Address | None:
    """Where packets may end up: 6to4 (RFC 3056), NAT64 (RFC 6052), ISATAP (RFC 5214, 6.1)."""
    is_isatap = (int(address) >> 32 & 0xFCFFFFFF) == 0x00005EFE
    if address in NAT64 or is_isatap:
        return IPv4Address(address.packed[-4:])
    return address.sixtofour
