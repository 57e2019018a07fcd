"""Encrypts secrets that must be readable again (FTP passwords, WSSE secrets), and derives keys."""

import base64
import contextlib
import hashlib
import os
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contactexport.errors import SecretUnreadable, SettingsError
from contactexport.secrets.hidden_url import has_secrets, hidden

KEY_FILE = "secret_key"


class SecretBox:
    """Encrypts with the first key, decrypts with any (cryptography's MultiFernet).

    `keys` is CONTACTEXPORT_SECRET_KEY. Without it the key is in a file in the data folder, created once with mode 0600.
    The file is read or created on first use. Every method raises SettingsError when the keys cannot be used.

    >>> box = SecretBox("new key, old key", Path("unused"))
    >>> box.decrypt(SecretBox("old key", Path("unused")).encrypt("secret"))
    'secret'
    """

    def __init__(self, keys: str | None, data_dir: Path) -> None:
        self._keys = keys
        self._data_dir = data_dir

    def encrypt(self, secret: str) -> bytes:
        """The token to store."""
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, token: bytes) -> str:
        """The secret of a token. Raises SecretUnreadable when no key fits."""
        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken:
            raise SecretUnreadable from None

    def split_url(self, url: str | None) -> tuple[str | None, bytes | None]:
        """The URL with what may be secret masked, and the whole URL encrypted. None: it has no secrets."""
        if url is None or not has_secrets(url):
            return url, None
        return hidden(url), self.encrypt(url)

    def rotate(self, token: bytes) -> bytes:
        """The same secret encrypted with the first key. Raises SecretUnreadable when no key fits."""
        return self.encrypt(self.decrypt(token))

    def derived_key(self, purpose: str) -> str:
        """A key for one purpose, 64 hex digits, derived from the first key without revealing it (HKDF, RFC 5869)."""
        return _derive(self._fernet_keys[0], purpose)

    @cached_property
    def fingerprints(self) -> list[str]:
        """16 hex digits that identify each key without revealing it, in the order of the keys."""
        return [_derive(key, "fingerprint")[:16] for key in self._fernet_keys]

    @cached_property
    def _fernet(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self._fernet_keys])

    @cached_property
    def _fernet_keys(self) -> list[bytes]:
        name, keys = ("CONTACTEXPORT_SECRET_KEY", self._keys) if self._keys else _key_file(self._data_dir)
        parts = [key.strip() for key in keys.split(",")]
        if not all(parts):
            raise SettingsError(
                f"{name} is empty or has an empty part: it needs one key, or several separated by commas"
            )
        return [_fernet_key(key) for key in parts]


def _derive(key: bytes, purpose: str) -> str:
    info = f"contactexport {purpose}".encode()
    return HKDF(SHA256(), length=32, salt=None, info=info).derive(base64.urlsafe_b64decode(key)).hex()


def _fernet_key(key: str) -> bytes:
    """Hashes a passphrase to a key. A key from Fernet.generate_key() stays as it is."""
    try:
        if len(base64.urlsafe_b64decode(key)) == 32:
            return key.encode()
    except ValueError:
        pass
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())


def _key_file(data_dir: Path) -> tuple[str, str]:
    """The path of the key file and the key in it. Creates the file if it is missing."""
    path = data_dir / KEY_FILE
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            own = path.with_name(f"{path.name}.{os.getpid()}")
            with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())  # before any secret that is encrypted with it reaches the disk
            with contextlib.suppress(FileExistsError):  # another process was first, and its key is used
                os.link(own, path)
            own.unlink()
        return str(path), path.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"The key file {path} cannot be read or created: {type(error).__name__}") from None
