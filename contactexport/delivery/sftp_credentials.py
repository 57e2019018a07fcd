"""Credentials for SFTP, and fingerprints of host keys. A private key is RSA, Ed25519 or ECDSA."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

LEAST_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
ANY_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
KEY_EXPECTED = "a private key in PEM or OpenSSH format expected, RSA with 2048 bits or more, Ed25519 or ECDSA"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)


class BadPassphrase(ValueError):
    """The passphrase of a private key is missing, wrong, or given for a key without one. str() says which."""


@dataclass(frozen=True, repr=False)  # no text may show them
class SftpCredentials:
    """A password, or a private key in OpenSSH format without a passphrase."""

    password: str | None = None
    private_key: str | None = None

    def to_text(self) -> str:
        """The credentials as one text, to be encrypted."""
        return json.dumps({name: value for name, value in vars(self).items() if value is not None})

    @classmethod
    def from_text(cls, text: str) -> "SftpCredentials":
        """The inverse of `to_text`."""
        return cls(**json.loads(text))


def read_private_key(text: str, passphrase: str | None) -> str:
    """Returns the key in OpenSSH format without its passphrase. Raises BadPassphrase and ValueError.

    No error shows anything of the key.
    """
    text = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    if not ANY_KEY.match(text):
        raise ValueError(KEY_EXPECTED)
    load = load_ssh_private_key if text.startswith(OPENSSH) else load_pem_private_key
    try:
        key = load(text.encode(), passphrase.encode() if passphrase else None)
    except TypeError:  # told by cryptography for one without the other
        raise BadPassphrase("the key has no passphrase" if passphrase else "the key needs its passphrase") from None
    except UnsupportedAlgorithm:
        raise ValueError(KEY_EXPECTED) from None
    except ValueError:
        if passphrase:
            raise BadPassphrase("the key cannot be read with it") from None
        raise ValueError(KEY_EXPECTED) from None
    if (
        isinstance(key, Ed25519PrivateKey)
        or (isinstance(key, RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS)
        or (isinstance(key, EllipticCurvePrivateKey) and key.curve.name in CURVES)
    ):
        return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    raise ValueError(KEY_EXPECTED)


def fingerprint(key: bytes) -> str:
    """The SHA-256 fingerprint of a public key, as `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
