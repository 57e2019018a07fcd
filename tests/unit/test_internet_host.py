"""contactexport.internet_host: one canonical form for every spelling, the same that the system's resolver finds."""

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.internet_host import parse_host


@pytest.mark.parametrize(
    "text, meant",
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
def test_a_host_is_read_into_its_canonical_form(text: str, meant: IPv4Address | IPv6Address | str):
    assert parse_host(text) == meant


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "a host name or an IP address expected"),
        ("a" * 2000, "a host name or an IP address expected"),
        ("a..b", "empty or overlong parts"),
        ("a_b!", "letters, digits, hyphens and dots expected"),
        ("1.2.3.4.5", "ends in a number"),
        ("host:21", "a port is given apart"),
        ("fe80::1%eth0", "with a zone"),
    ],
)
def test_what_is_no_host_says_why(text: str, expected: str):
    with pytest.raises(ValueError, match=expected):
        parse_host(text)


@given(st.text("0123456789abcdefxX.", min_size=1, max_size=20))
def test_what_the_system_takes_for_an_address_is_never_taken_for_a_name(text: str):
    """Numeric spellings only: AI_NUMERICHOST asks no name server."""
    try:
        found = socket.getaddrinfo(text, 21, family=socket.AF_INET, flags=socket.AI_NUMERICHOST)[0][4][0]
    except (OSError, UnicodeError):
        return
    assert str(parse_host(text)) == found
