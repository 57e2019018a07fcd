"""contactexport.secret_box: encrypting under one key, reading under several, and keys that are wrong."""

import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from contactexport.errors import SecretUnreadable, SettingsError
from contactexport.secret_box import KEY_FILE, SecretBox


def test_the_first_key_encrypts_and_every_key_reads(tmp_path: Path):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    token = SecretBox(old, tmp_path).encrypt("geheim")
    both = SecretBox(f"{new}, {old}", tmp_path)
    assert both.decrypt(token) == "geheim"
    assert SecretBox(new, tmp_path).decrypt(both.rotate(token)) == "geheim"


@pytest.mark.parametrize("passphrase", ["correct horse battery staple", "schlüssel", "x"])
def test_any_passphrase_is_a_key(passphrase: str, tmp_path: Path):
    token = SecretBox(passphrase, tmp_path).encrypt("geheim")
    assert SecretBox(passphrase, tmp_path).decrypt(token) == "geheim"


def test_a_changed_key_says_what_to_do(tmp_path: Path):
    token = SecretBox("one", tmp_path).encrypt("geheim")
    with pytest.raises(SecretUnreadable, match="CONTACTEXPORT_SECRET_KEY was changed or lost"):
        SecretBox("two", tmp_path).decrypt(token)


def test_a_lost_key_file_says_what_to_do(tmp_path: Path):
    token = SecretBox(None, tmp_path).encrypt("geheim")
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(SecretUnreadable):
        SecretBox(None, tmp_path).decrypt(token)


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path):
    token = SecretBox(None, tmp_path / "data").encrypt("geheim")
    assert SecretBox(None, tmp_path / "data").decrypt(token) == "geheim"
    assert (tmp_path / "data" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("keys", ["new,,old", "new,", " "])
def test_an_empty_key_is_refused(keys: str, tmp_path: Path):
    with pytest.raises(SettingsError, match="one key expected"):
        SecretBox(keys, tmp_path).encrypt("geheim")


def test_an_empty_key_file_is_refused(tmp_path: Path):
    (tmp_path / KEY_FILE).touch()
    with pytest.raises(SettingsError, match=KEY_FILE):
        SecretBox(None, tmp_path).encrypt("geheim")


def test_a_key_file_that_cannot_be_read_is_one_line(tmp_path: Path):
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(SettingsError, match="cannot be read or made: IsADirectoryError"):
        SecretBox(None, tmp_path).encrypt("geheim")


def test_a_derived_key_follows_from_the_first_key_and_the_purpose(tmp_path: Path):
    key = SecretBox("new,old", tmp_path).derived_key("notification")
    assert key == SecretBox("new", tmp_path).derived_key("notification")
    assert key != SecretBox("old,new", tmp_path).derived_key("notification")
    assert key != SecretBox("new", tmp_path).derived_key("another")
    assert re.fullmatch("[0-9a-f]{64}", key)


def test_a_derived_key_of_a_kept_key_stays(tmp_path: Path):
    assert SecretBox(None, tmp_path).derived_key("x") == SecretBox(None, tmp_path).derived_key("x")
