"""contactexport.secrets.box: encrypts with one key, decrypts with several, and explains wrong keys."""

import doctest
import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from contactexport.errors import SecretUnreadable, SettingsError
from contactexport.secrets import box
from contactexport.secrets.box import KEY_FILE, SecretBox


def test_example_in_docstring_is_true():
    assert doctest.testmod(box).failed == 0


def test_first_key_encrypts_and_every_key_decrypts(tmp_path: Path):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    token = SecretBox(old, tmp_path).encrypt("geheim")
    both = SecretBox(f"{new}, {old}", tmp_path)
    assert both.decrypt(token) == "geheim"
    assert SecretBox(new, tmp_path).decrypt(both.rotate(token)) == "geheim"


@pytest.mark.parametrize("passphrase", ["correct horse battery staple", "schlüssel", "x"])
def test_passphrase_is_a_key(passphrase: str, tmp_path: Path):
    token = SecretBox(passphrase, tmp_path).encrypt("geheim")
    assert SecretBox(passphrase, tmp_path).decrypt(token) == "geheim"


def test_changed_key_says_what_to_do(tmp_path: Path):
    token = SecretBox("one", tmp_path).encrypt("geheim")
    with pytest.raises(SecretUnreadable, match="CONTACTEXPORT_SECRET_KEY was changed or lost"):
        SecretBox("two", tmp_path).decrypt(token)


def test_lost_key_file_makes_secret_unreadable(tmp_path: Path):
    token = SecretBox(None, tmp_path).encrypt("geheim")
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(SecretUnreadable):
        SecretBox(None, tmp_path).decrypt(token)


def test_key_file_is_created_once_and_readable_by_owner_only(tmp_path: Path):
    token = SecretBox(None, tmp_path / "data").encrypt("geheim")
    assert SecretBox(None, tmp_path / "data").decrypt(token) == "geheim"
    assert (tmp_path / "data" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("keys", ["new,,old", "new,", " "])
def test_empty_key_is_refused(keys: str, tmp_path: Path):
    with pytest.raises(SettingsError, match="it needs one key"):
        SecretBox(keys, tmp_path).encrypt("geheim")


def test_empty_key_file_is_refused(tmp_path: Path):
    (tmp_path / KEY_FILE).touch()
    with pytest.raises(SettingsError, match=KEY_FILE):
        SecretBox(None, tmp_path).encrypt("geheim")


def test_unreadable_key_file_is_reported_in_one_line(tmp_path: Path):
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(SettingsError, match="cannot be read or created: IsADirectoryError"):
        SecretBox(None, tmp_path).encrypt("geheim")


def test_derived_key_depends_on_first_key_and_purpose(tmp_path: Path):
    key = SecretBox("new,old", tmp_path).derived_key("notification")
    assert key == SecretBox("new", tmp_path).derived_key("notification")
    assert key != SecretBox("old,new", tmp_path).derived_key("notification")
    assert key != SecretBox("new", tmp_path).derived_key("another")
    assert re.fullmatch("[0-9a-f]{64}", key)


def test_derived_key_of_key_file_stays_the_same(tmp_path: Path):
    assert SecretBox(None, tmp_path).derived_key("x") == SecretBox(None, tmp_path).derived_key("x")
