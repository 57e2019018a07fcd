"""Secrets that wait in a page for the form to be sent."""

import time
from pathlib import Path

from contactexport.console.sealed import LIFE_SECONDS, seal, unseal
from contactexport.secrets.box import SecretBox

BOX = SecretBox("a key of the tests", Path("unused"))
PLACE = ["ftp.example.com", "21", "anna"]
SECRETS = {"ftp_settings.password": "geheim"}


def test_sealed_secret_is_unreadable_and_comes_back():
    sealed = seal(BOX, "anna", PLACE, SECRETS)
    assert "geheim" not in sealed
    assert unseal(BOX, "anna", PLACE, sealed) == SECRETS


def test_sealed_secret_goes_to_no_other_host_and_to_nobody_else():
    sealed = seal(BOX, "anna", PLACE, SECRETS)
    assert unseal(BOX, "anna", ["evil.example.com", "21", "anna"], sealed) == {}
    assert unseal(BOX, "otto", PLACE, sealed) == {}


def test_sealed_secret_is_worth_nothing_after_an_hour(monkeypatch):
    sealed, now = seal(BOX, "anna", PLACE, SECRETS), time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFE_SECONDS + 1)
    assert unseal(BOX, "anna", PLACE, sealed) == {}


def test_what_is_not_sealed_here_is_worth_nothing():
    stored_password = BOX.encrypt("geheim").decode()
    foreign = seal(SecretBox("another key", Path("unused")), "anna", PLACE, SECRETS)
    for text in ("", "x", stored_password, foreign, BOX.encrypt("[1]").decode()):
        assert unseal(BOX, "anna", PLACE, text) == {}
