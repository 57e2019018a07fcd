"""contactexport.hosts.parse: one canonical form for every spelling, the same that the resolver of the system finds."""

import doctest
import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.errors import SettingsError
from contactexport.hosts import parse
from contactexport.hosts.parse import parse_allowed_hosts, parse_host
from contactexport.settings import load_settings


def test_example_in_docstring_is_true():
    assert doctest.testmod(parse).failed == 0


@pytest.mark.parametrize(
    "text, expected",
    [
        ("127.1", IPv4Address("127.0.0.1")),
        ("010.8.8.8", IPv4Address("8.8.8.8")),
        ("[::1]", IPv6Address("::1")),
        ("::ffff:1.2.3.4", IPv4Address("1.2.3.4")),
        ("Example.COM.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("straße.example", "strasse.example"),
        ("ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
    ],
)
def test_parse_host_returns_canonical_form(text: str, expected: IPv4Address | IPv6Address | str):
    assert parse_host(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "a host name or an IP address expected"),
        ("a" * 2000, "a host name or an IP address expected"),
        ("a..b", "empty or overlong parts"),
        ("a_b!", "letters, digits, hyphens and dots expected"),
        ("1.2.3.4.5", "ends in a number"),
        ("host:21", "the port is a separate setting"),
        ("fe80::1%eth0", "with a zone"),
    ],
)
def test_parse_host_says_why_text_is_invalid(text: str, expected: str):
    with pytest.raises(ValueError, match=expected):
        parse_host(text)


@given(st.text("0123456789abcdefxX.", min_size=1, max_size=20))
def test_parse_host_reads_numeric_address_as_resolver_does(text: str):
    """AI_NUMERICHOST asks no name server."""
    try:
        resolved = socket.getaddrinfo(text, 21, family=socket.AF_INET, flags=socket.AI_NUMERICHOST)[0][4][0]
    except (OSError, UnicodeError):
        return
    assert str(parse_host(text)) == resolved


# CONTACTEXPORT_ALLOWED_HOSTS


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_setting_allows_no_host(text: str):
    assert parse_allowed_hosts(text) == ()


def test_every_kind_of_entry_is_parsed_in_order():
    name, subdomains, network, address = parse_allowed_hosts(
        "ftp.intern.example:21, *.Intern.example,10.0.0.0/8:22,[::1]:2121"
    )
    assert (name.name, name.subdomains, name.port) == ("ftp.intern.example", False, 21)
    assert (subdomains.name, subdomains.subdomains, subdomains.port) == ("intern.example", True, None)
    assert (str(network.network), network.port) == ("10.0.0.0/8", 22)
    assert (str(address.network), address.port) == ("::1/128", 2121)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "*.",
        "*.10",
        "a.*.example",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/8:0",
        "host:65536",
        "host:",
        "host:ftp",
        "ftp://host",
        "[host]",
        "[::1]:",
        "[::1",
        "::1:2121:x",
        "fe80::1%eth0",
        "a b",
        "a,,b",
        "a,",
    ],
)
def test_invalid_entry_stops_start_with_one_line_that_names_it(entry: str):
    with pytest.raises(SettingsError) as error:
        load_settings({}, {"CONTACTEXPORT_ALLOWED_HOSTS": entry})
    assert error.value.text.startswith(f"CONTACTEXPORT_ALLOWED_HOSTS is {entry!r}: ")
    assert "is not a valid entry" in error.value.text
    assert "\n" not in error.value.text


def test_default_allows_no_host():
    assert load_settings({}, {}).allowed_hosts == ()
