"""contactexport.hosts.guard: which hosts may be connected to, in every spelling that a resolver understands."""

import random
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.errors import HostRefused, HostUnknown
from contactexport.hosts.guard import CLOSED_IPV4, NetworkGuard, Resolver, is_public
from contactexport.hosts.parse import parse_allowed_hosts

PUBLIC4, PUBLIC6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

REFUSED = [
    # loopback, as inet_aton(3) takes it
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "0X7F.0.0.0x1",
    "0177.0.0.01",
    "127.0.0.1.",
    "１２７.０.０.１",
    "127。0。0。1",
    # this host, private, shared, link-local, platform, test, benchmark, relay, multicast, reserved, broadcast
    "0",
    "0.0.0.0",  # noqa: S104 - refused here, not bound to
    "0.1.2.3",
    "10.0.0.1",
    "10.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "0300.0250.1",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "169.254.169.254",
    "0xa9fea9fe",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    # IPv6: unspecified, loopback, private, link-local, site-local, multicast, documentation, discard
    "::",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "[fe80::1%25eth0]",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "4000::1",
    # IPv4 inside IPv6: mapped, compatible, translated, 6to4, NAT64 (both prefixes), Teredo, ISATAP
    "::ffff:127.0.0.1",
    "[::ffff:7f00:1]",
    "::ffff:10.0.0.1",
    "::ffff:100.64.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:6440:1::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::8.8.8.8",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2606:2800::5efe:10.0.0.1",
    "2606:2800::200:5efe:7f00:1",
    # not hosts
    "",
    ".",
    "..",
    "a..example",
    "localhost..",
    ".example.com",
    "-a.example",
    "a b.example",
    " example.com",
    "example.com\n",
    "example.com\x00.evil",
    "user@example.com",
    "ftp://example.com",
    "example.com/",
    "example.com:21",
    "example.com#x",
    "example.com?x",
    "127.0.0.1%00",
    "%31%32%37.0.0.1",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.2.3.08",
    "0x",
    "host.0x7f",
    "host.123",
    "[example.com]",
    "[::1",
    "::1]",
    "[8.8.8.8]",
    "1:2:3",
    "a" * 64 + ".example",
    ".".join(["abcdefgh"] * 30),
    "ü" * 5000,
    "\ud800",
]

# Names that are the loopback address everywhere.
LOCALHOST = ["localhost", "LOCALHOST", "localhost.", "ftp.localhost", "ⓛocalhost", "local\u00adhost"]

ACCEPTED = [
    PUBLIC4,
    "8.8.8.8",
    "0x08080808",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    PUBLIC6,
    f"[{PUBLIC6}]",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::8.8.8.8",
    "2606:2800::5efe:8.8.8.8",
    "example.com",
    "EXAMPLE.com.",
    "ftp_1.example.com",
    "münchen.example",
    "xn--mnchen-3ya.example",
    "intranet",
    "a" * 63 + ".example",
    "notlocalhost",
    "localhost.example.com",
    "3com.example",
    "1.2.3.example",
]


def answering(*answers: Iterable[str]) -> Resolver:
    """A name server that gives one answer after the other and fails after the last."""
    rest = iter(answers)

    def resolver(name: str, port: int) -> list[str]:
        return list(next(rest))

    return resolver


def guard(allowed: str = "", *answers: Iterable[str]) -> NetworkGuard:
    return NetworkGuard(parse_allowed_hosts(allowed), answering(*answers))


@pytest.mark.parametrize("host", REFUSED + LOCALHOST)
def test_check_refuses_private_or_invalid_host_without_lookup(host: str):
    with pytest.raises(HostRefused) as refused:
        guard().check_literal(host, 21)
    assert refused.value.permanent
    assert refused.value.text.isprintable()


@pytest.mark.parametrize("host", REFUSED)
def test_resolve_refuses_private_or_invalid_host(host: str):
    with pytest.raises(HostRefused):
        guard().resolve(host, 21)


@pytest.mark.parametrize("host", LOCALHOST)
def test_resolve_refuses_localhost_by_its_address(host: str):
    with pytest.raises(HostRefused):
        guard("", ["127.0.0.1"]).resolve(host, 21)


@pytest.mark.parametrize("host", ACCEPTED)
def test_public_host_passes(host: str):
    guard().check_literal(host, 21)
    assert is_public(ip_address(guard("", [PUBLIC4]).resolve(host, 21)))


@pytest.mark.parametrize("inner, public", [("8.8.8.8", True), ("127.0.0.1", False), ("100.64.0.1", False)])
def test_mapped_address_is_public_if_embedded_address_is(inner: str, public: bool):
    assert is_public(IPv6Address(f"::ffff:{inner}")) is public


@pytest.mark.parametrize(
    "host, address",
    [
        ("0x08080808", "8.8.8.8"),
        ("8.8.2056", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        (f"[{PUBLIC6}]", PUBLIC6),
        ("８.8.8.8", "8.8.8.8"),
    ],
)
def test_resolve_returns_address_in_plain_form(host: str, address: str):
    assert guard().resolve(host, 21) == address


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["10.0.0.5"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        [PUBLIC4, "127.0.0.1"],
        [PUBLIC6, PUBLIC4, "169.254.169.254"],
    ],
)
def test_name_with_one_private_address_is_refused_without_revealing_it(answer: list[str]):
    with pytest.raises(HostRefused) as refused:
        guard("", answer).resolve("ftp.example.com", 21)
    assert refused.value.text == "Host ftp.example.com is not on the public internet"


def test_rebound_name_is_refused_at_next_lookup():
    """Public at the first lookup, loopback at the second."""
    rebinding = guard("", [PUBLIC4], ["127.0.0.1"])
    assert rebinding.resolve("rebind.example", 21) == PUBLIC4  # the caller connects to it without a second lookup
    with pytest.raises(HostRefused):
        rebinding.resolve("rebind.example", 21)


def test_resolver_is_called_once_with_canonical_name():
    lookups = []

    def resolver(name: str, port: int) -> list[str]:
        lookups.append((name, port))
        return [PUBLIC6, PUBLIC4]

    assert NetworkGuard((), resolver).resolve("FTP.MÜNCHEN.example.", 2121) == PUBLIC6
    assert lookups == [("ftp.xn--mnchen-3ya.example", 2121)]


def test_literal_address_is_never_looked_up():
    assert guard().resolve("8.8.8.8", 21) == "8.8.8.8"  # the resolver has no answer and would fail


def test_name_without_address_is_temporary_failure():
    def unknown(name: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (unknown, answering([])):
        with pytest.raises(HostUnknown, match=r"Host ftp.example.com has no address") as refused:
            NetworkGuard((), resolver).resolve("ftp.example.com", 21)
        assert not refused.value.permanent


def test_default_resolver_is_the_one_of_this_machine():
    with pytest.raises(HostRefused):
        NetworkGuard(()).resolve("localhost", 21)
    assert ip_address(NetworkGuard(parse_allowed_hosts("127.0.0.0/8,::1")).resolve("localhost", 21)).is_loopback


ALLOWED = [
    ("127.0.0.1", "127.0.0.1", 21),
    ("127.0.0.1", "0x7f.1", 21),
    ("127.0.0.1", "::ffff:127.0.0.1", 21),
    ("127.0.0.1", "localhost", 21),
    ("::1", "[::1]", 2121),
    ("[::1]", "::1", 2121),
    ("[::1]:2121", "::1", 2121),
    ("10.0.0.0/8", "10.1.2.3", 21),
    ("10.0.0.0/8:21", "10.1.2.3", 21),
    ("fd00::/8", "fd00::1", 21),
    ("[fd00::/8]:990", "fd00::1", 990),
    (" 10.0.0.0/8 , 127.0.0.1:2121", "127.0.0.1", 2121),
    ("localhost", "localhost.", 21),
    ("*.localhost", "a.b.localhost", 21),
    ("0.0.0.0/0", "192.168.1.1", 21),
]

NOT_ALLOWED = [
    ("127.0.0.1", "127.0.0.2", 21),
    ("127.0.0.1:2121", "127.0.0.1", 21),
    ("127.0.0.1:2121", "localhost", 21),
    ("[::1]:2121", "::1", 21),
    ("10.0.0.0/8:21", "10.1.2.3", 22),
    ("localhost:2121", "localhost", 21),
    ("*.localhost", "localhost", 21),
    ("localhost", "127.0.0.1", 21),
    ("::1", "127.0.0.1", 21),
    ("127.0.0.1", "::127.0.0.1", 21),
    ("127.0.0.1", "64:ff9b::127.0.0.1", 21),
    ("10.0.0.0/8", "2002:a00:1::", 21),
]


@pytest.mark.parametrize("allowed, host, port", ALLOWED)
def test_allowed_host_passes(allowed: str, host: str, port: int):
    guard(allowed).check_literal(host, port)


@pytest.mark.parametrize("allowed, host, port", NOT_ALLOWED)
def test_entry_allows_only_what_it_names(allowed: str, host: str, port: int):
    with pytest.raises(HostRefused):
        guard(allowed).check_literal(host, port)


@pytest.mark.parametrize(
    "allowed, name, address, open_",
    [
        ("ftp.intern.example", "ftp.intern.example", "10.0.0.5", True),
        ("ftp.intern.example", "FTP.Intern.Example.", "10.0.0.5", True),
        ("ftp.intern.example", "www.intern.example", "10.0.0.5", False),
        ("ftp.intern.example", "ftp.intern.example.evil.example", "10.0.0.5", False),
        ("ftp.intern.example:21", "ftp.intern.example", "10.0.0.5", True),
        ("ftp.intern.example:990", "ftp.intern.example", "10.0.0.5", False),
        ("*.intern.example", "a.b.intern.example", "10.0.0.5", True),
        ("*.intern.example", "intern.example", "10.0.0.5", False),
        ("*.intern.example", "evilintern.example", "10.0.0.5", False),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example", "10.0.0.5", True),
        ("10.0.0.0/24", "anything.example", "10.0.0.5", True),
        ("10.0.0.0/24", "anything.example", "::ffff:10.0.0.5", True),
        ("10.0.0.0/24", "anything.example", "10.0.1.5", False),
        ("10.0.0.0/24:22", "anything.example", "10.0.0.5", False),
    ],
)
def test_name_is_allowed_by_name_or_by_address(allowed: str, name: str, address: str, open_: bool):
    guard(allowed).check_literal(name, 21)
    if open_:
        assert guard(allowed, [address]).resolve(name, 21) == address.removeprefix("::ffff:")
    else:
        with pytest.raises(HostRefused):
            guard(allowed, [address]).resolve(name, 21)


def test_one_allowed_address_does_not_allow_others_of_same_name():
    with pytest.raises(HostRefused):
        guard("10.0.0.0/24", ["10.0.0.5", "10.9.9.9"]).resolve("ftp.example.com", 21)


@given(st.text() | st.text("0123456789abcdefx.:%[]-", max_size=40), st.integers(1, 65535))
def test_any_text_passes_or_is_refused(host: str, port: int):
    try:
        guard().check_literal(host, port)
    except HostRefused as refused:
        text = refused.text
    else:
        text = guard("", [PUBLIC4]).resolve(host, port)
    assert text.isprintable()


@given(st.ip_addresses(v=4))
def test_every_spelling_of_ipv4_address_has_same_result(address: IPv4Address):
    public = not any(address in network for network in CLOSED_IPV4)
    parts = list(address.packed)
    for spelling in (
        str(address),
        str(int(address)),
        hex(int(address)),
        f"0{int(address):o}",
        f"{parts[0]}.{int(address) & 0xFFFFFF}",
        ".".join(random.choice(("0x{:x}", "0{:o}", "{}")).format(part) for part in parts),
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        f"2002:{parts[0]:02x}{parts[1]:02x}:{parts[2]:02x}{parts[3]:02x}::1",
    ):
        try:
            guard().check_literal(spelling, 21)
        except HostRefused:
            assert not public, spelling
        else:
            assert public, spelling


@given(st.ip_addresses(v=6))
def test_public_ipv6_address_is_global_for_standard_library(address: IPv6Address):
    assert not is_public(address) or address.is_global or address.sixtofour or address.ipv4_mapped
