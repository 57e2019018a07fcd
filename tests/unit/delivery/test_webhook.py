"""contactexport.delivery.webhook: the parsed URL and the signature."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.delivery.webhook import Receiver, receiver, signature
from contactexport.errors import DeliveryFailed


def test_signature_is_that_of_rfc_2104():
    # echo -n '1790000000.{"id": "7"}' | openssl dgst -sha256 -hmac key
    expected = "22fe9cc222904a7254064db47e614a478ffb84d019f93d5dca3a265086e06e7d"
    assert signature("key", 1790000000, b'{"id": "7"}') == f"sha256={expected}"


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 2**40), st.binary())
def test_signature_covers_timestamp_and_body(key: str, timestamp: int, body: bytes):
    by_hand = hmac.new(key.encode(), b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()
    signed = signature(key, timestamp, body)
    assert signed == f"sha256={by_hand}"
    assert signed != signature(key, timestamp + 1, body)
    assert signed != signature(key, timestamp, body + b"x")
    assert signed != signature(key + "x", timestamp, body)


@pytest.mark.parametrize(
    "url, expected, host_header",
    [
        ("http://example.com", Receiver(False, "example.com", 80, "/", None), "example.com"),
        ("https://EXAMPLE.com/a?b=c#d", Receiver(True, "example.com", 443, "/a?b=c", None), "example.com"),
        ("https://example.com:80/", Receiver(True, "example.com", 80, "/", None), "example.com:80"),
        ("http://example.com:443/", Receiver(False, "example.com", 443, "/", None), "example.com:443"),
        ("http://example.com:80/", Receiver(False, "example.com", 80, "/", None), "example.com"),
        ("https://bücher.example/", Receiver(True, "xn--bcher-kva.example", 443, "/", None), "xn--bcher-kva.example"),
        ("http://[2001:DB8::1]:8080/", Receiver(False, "2001:db8::1", 8080, "/", None), "[2001:db8::1]:8080"),
        ("http://127.1/", Receiver(False, "127.0.0.1", 80, "/", None), "127.0.0.1"),
        ("http://e.com/ü?q=%C3%BC&é", Receiver(False, "e.com", 80, "/%C3%BC?q=%C3%BC&%C3%A9", None), "e.com"),
        ("http://u:p%40:q@e.com/", Receiver(False, "e.com", 80, "/", "u:p@:q"), "e.com"),
        ("http://token@e.com/", Receiver(False, "e.com", 80, "/", "token:"), "e.com"),
    ],
)
def test_url_is_parsed(url: str, expected: Receiver, host_header: str):
    assert receiver(url) == expected
    assert receiver(url).host_header == host_header


@pytest.mark.parametrize("url", ["", "http://", "http://geheim@:80/", "http://geheim@e.com:99999/", "http://[geheim/"])
def test_invalid_url_error_is_one_line_without_url(url: str):
    with pytest.raises(DeliveryFailed, match=r"^The notification URL cannot be read$"):
        receiver(url)
