"""The entries of CONTACTEXPORT_ALLOWED_HOSTS: hosts that may be connected to although they are not public."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from contactexport.internet_host import Address, parse_host

_BRACKETED = re.compile(r"\[([^\[\]]*:[^\[\]]*)\](?::([0-9]+))?")
_PLAIN = re.compile(r"([^:]+)(?::([0-9]+))?")
EXPECTED = (
    "ftp.intern.example, *.intern.example, 10.0.0.0/8 or ::1 expected, with :port if only one is meant ([::1]:2121)"
)


@dataclass(frozen=True)
class AllowedHost:
    """A network, a name, or with `subdomains` all names below it; for one port or for all."""

    network: IPv4Network | IPv6Network | None
    name: str | None
    subdomains: bool
    port: int | None

    def allows_address(self, address: Address, port: int) -> bool:
        """True when the address lies in the network and the port fits."""
        return self.network is not None and address in self.network and self.port in {None, port}

    def allows_name(self, name: str, port: int) -> bool:
        """True when the name, in the form of `parse_host`, is meant and the port fits."""
        same = name.endswith(f".{self.name}") if self.subdomains else name == self.name
        return self.name is not None and same and self.port in {None, port}


def parse_allowed_hosts(text: str) -> tuple[AllowedHost, ...]:
    """Reads entries separated by commas. Raises ValueError naming the entry that is none."""
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    return tuple(_parse(entry) for entry in entries)


def _parse(entry: str) -> AllowedHost:
    try:
        host, port = _split_port(entry)
        if "/" in host:
            return AllowedHost(_network(host), None, False, port)
        if host.startswith("*."):
            return AllowedHost(None, _name(host[2:]), True, port)
        parsed = parse_host(host)
        if isinstance(parsed, str):
            return AllowedHost(None, parsed, False, port)
        return AllowedHost(ip_network(parsed), None, False, port)
    except ValueError as error:
        raise ValueError(f"{entry!r} is no entry ({error}): {EXPECTED}") from None


def _split_port(entry: str) -> tuple[str, int | None]:
    """IPv6 with a port stands in brackets, prefix length included; without one it may stand alone."""
    parts = _BRACKETED.fullmatch(entry) or _PLAIN.fullmatch(entry)
    if parts is None:
        return entry, None
    port = int(parts[2]) if parts[2] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("a port from 1 to 65535 expected")
    return parts[1], port


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("IPv4 is written as IPv4")
    return network


def _name(text: str) -> str:
    parsed = parse_host(text)
    if isinstance(parsed, str):
        return parsed
    raise ValueError("a name expected behind the asterisk")
