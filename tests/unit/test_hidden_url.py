"""What is shown of a URL: never what may be a password or a token."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport import hidden_url
from contactexport.hidden_url import has_secrets, hidden

SECRET = st.text("§!$%&'()*+,-.:;=/[]_~aZ09@?# ", min_size=1).map(lambda text: f"geheim{text}geheim")


def test_the_example():
    assert doctest.testmod(hidden_url).failed == 0


@pytest.mark.parametrize(
    "url,shown",
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
def test_what_is_shown(url: str, shown: str):
    assert hidden(url) == shown


@given(SECRET)
def test_no_secret_is_shown(secret: str):
    for url in (
        f"https://anna:{secret}@www.example.com/",
        f"https://www.example.com/x?{secret}",
        f"https://a/#{secret}",
    ):
        assert has_secrets(url)
        assert "geheim" not in hidden(url)


@given(st.text())
def test_hidden_twice_is_hidden_once(text: str):
    assert hidden(hidden(text)) == hidden(text)
