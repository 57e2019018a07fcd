import ipaddress

import pytest

from contactexport.api.proxies import first_untrusted

PROXIES = [ipaddress.ip_network(one) for one in ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32")]
EVERYBODY = [ipaddress.ip_network(one) for one in ("0.0.0.0/0", "::/0")]


@pytest.mark.parametrize(
    "peer,forwarded_for,address",
    [
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),  # anybody can write that
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("127.0.0.1", "10.1.2.3, 10.1.2.4", "10.1.2.3"),
        ("127.0.0.1", "198.51.100.7:5678", "198.51.100.7"),
        ("127.0.0.1", "[2001:db9::1]:5678", "2001:db9::1"),
        ("127.0.0.1", "2001:DB9::1", "2001:db9::1"),
        ("2001:db8::5", " 198.51.100.7 ", "198.51.100.7"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, unknown", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6, [", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7,", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("", "198.51.100.7", "198.51.100.7"),  # by a Unix socket
        ("", "what?", None),
    ],
)
def test_address_is_last_one_reported_by_trusted_proxies(peer, forwarded_for, address):
    assert first_untrusted(peer, forwarded_for, PROXIES) == address


def test_first_address_counts_when_every_proxy_is_trusted():
    assert first_untrusted("203.0.113.9", "198.51.100.7, 192.0.2.1", EVERYBODY) == "198.51.100.7"


def test_header_is_ignored_without_trusted_proxies():
    assert first_untrusted("127.0.0.1", "198.51.100.7", []) == "127.0.0.1"
