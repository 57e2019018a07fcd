"""Encrypts secrets that must be readable again (FTP passwords, WSSE secrets) before they are stored."""

import base64
import hashlib
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from contactexport.errors import SettingsError

KEY_FILE = "secret_key"


class SecretBox:
    """Encrypts with the first key, decrypts with any (cryptography's MultiFernet).

    `keys` is CONTACTEXPORT_SECRET_KEY; without it the key file under the data folder, made once with mode 0600.
    """

    def __init__(self, keys: str | None, data_dir: Path) -> None:
        self._keys = keys
        self._data_dir = data_dir

    def encrypt(self, secret: str) -> bytes:
        """The token to store."""
        return self._fernet().encrypt(secret.encode())

    def decrypt(self, token: bytes) -> str:
        """The secret again. Raises SettingsError when no key fits."""
        try:
            return self._fernet().decrypt(token).decode()
        except InvalidToken:
            raise SettingsError(
                "CONTACTEXPORT_SECRET_KEY fits none of the stored secrets: "
                "put the former key back, behind the new one and a comma"
            ) from None

    def rotate(self, token: bytes) -> bytes:
        """The same secret encrypted with the first key. Raises SettingsError when no key fits."""
        return self.encrypt(self.decrypt(token))

    def _fernet(self) -> MultiFernet:
        keys = self._keys if self._keys is not None else _kept_key(self._data_dir)
        return MultiFernet([Fernet(_fernet_key(key.strip())) for key in keys.split(",")])


def _fernet_key(key: str) -> bytes:
    """Any passphrase makes a key; one made by Fernet.generate_key() is taken as it is."""
    try:
        if len(base64.urlsafe_b64decode(key)) == 32:
            return key.encode()
    except ValueError:
        pass
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())


def _kept_key(data_dir: Path) -> str:
    path = data_dir / KEY_FILE
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        own = path.with_name(f"{KEY_FILE}.{os.getpid()}")
        with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
        try:
            os.link(own, path)  # fails when another process was first: then its key is used
        except FileExistsError:
            pass
        own.unlink()
    return path.read_text().strip()
