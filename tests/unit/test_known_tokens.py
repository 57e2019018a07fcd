"""contactexport.known_tokens."""

import pytest

from contactexport import known_tokens
from contactexport.known_tokens import KnownTokens


def test_a_name_is_remembered_until_it_is_forgotten():
    tokens = KnownTokens()
    tokens.note(b"1", "anna")
    assert tokens.name_behind(b"1") == "anna"
    assert tokens.name_behind(b"2") is None
    tokens.forget(b"1")
    tokens.forget(b"2")
    assert tokens.name_behind(b"1") is None


def test_no_more_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(known_tokens, "MOST_TOKENS", 2)
    tokens = KnownTokens()
    for number in range(5):
        tokens.note(bytes([number]), "anna")
    assert sum(tokens.name_behind(bytes([number])) is not None for number in range(5)) <= 2
    assert tokens.name_behind(bytes([4])) == "anna"
