"""contactexport.secrets.hidden_url: never shows what may be a password or a token."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.secrets import hidden_url
from contactexport.secrets.hidden_url import has_secrets, hidden

SECRET = st.text("§!$%&'()*+,-.:;=/[]_~aZ09@?# ", min_size=1).map(lambda text: f"geheim{text}geheim")


def test_example_in_docstring_is_true():
    assert doctest.testmod(hidden_url).failed == 0


@pytest.mark.parametrize(
    "url,expected",
    [
        ("https://www.example.com/a/b", "https://www.example.com/a/b"),
        ("http://www.example.com:8080", "http://www.example.com:8080"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("https://a:b@c@d/", "https://***@d/"),
        ("//a:b@c/", "***@c/"),
        ("http://a:b", "http://a:***"),
        ("https://a/b?c=d@e", "https://***?***"),
        ("", ""),
        ("no url", "no url"),
    ],
)
def test_hidden_masks_user_query_and_password(url: str, expected: str):
    assert hidden(url) == expected


@given(SECRET)
def test_hidden_shows_no_secret(secret: str):
    for url in (
        f"https://anna:{secret}@www.example.com/",
        f"https://www.example.com/x?{secret}",
        f"https://a/#{secret}",
    ):
        assert has_secrets(url)
        assert "geheim" not in hidden(url)


@given(st.text())
def test_hidden_is_idempotent(text: str):
    assert hidden(hidden(text)) == hidden(text)
