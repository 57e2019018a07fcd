"""Credentials for SFTP, and fingerprints of host keys. A private key is RSA, Ed25519 or ECDSA."""

import base64
import binascii
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

LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192
CURVES = ("secp256r1", "secp384r1", "secp521r1")
OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
OPENSSH_END = "-----END OPENSSH PRIVATE KEY-----"
OPENSSH_MAGIC = b"openssh-key-v1\0"
ANY_KEY = re.compile(r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----")
PKCS8_ENCRYPTED = "-----BEGIN ENCRYPTED PRIVATE KEY-----"
KEY_EXPECTED = "a private key in PEM or OpenSSH format expected, RSA with 2048 to 8192 bits, Ed25519 or ECDSA"
MOST_KEY_CHARACTERS = 20_000
# Reading such a key may take minutes, in which the whole process stands still: how long is written in the key.
PKCS8_REFUSED = "PKCS#8 with a passphrase is not accepted: `ssh-keygen -p -f KEY` writes the key in OpenSSH format"
# ssh-keygen takes 16 or 24. Each costs about 10 ms.
MOST_ROUNDS = 256
ROUNDS_REFUSED = f"at most {MOST_ROUNDS} rounds of bcrypt expected: `ssh-keygen -p -a 24 -f KEY` writes the key with 24"
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

    Whoever sends a key chooses what reading it costs, so a costly one is refused before. No error shows anything of it.
    """
    text = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    require_quickly_read(text)
    load = load_ssh_private_key if text.startswith(OPENSSH) else load_pem_private_key
    try:
        # The test whether an RSA key's numbers are primes takes seconds. A worker makes it before it uses the key.
        key = load(text.encode(), passphrase.encode() if passphrase else None, unsafe_skip_rsa_key_validation=True)
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
        or (isinstance(key, RSAPrivateKey) and LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS and _is_whole(key))
        or (isinstance(key, EllipticCurvePrivateKey) and key.curve.name in CURVES)
    ):
        return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    raise ValueError(KEY_EXPECTED)


def require_quickly_read(text: str) -> None:
    """Raises ValueError unless the text is one private key that takes seconds to read at most."""
    if text.startswith(PKCS8_ENCRYPTED):
        raise ValueError(PKCS8_REFUSED)
    if len(text) > MOST_KEY_CHARACTERS or text.count("-----BEGIN") != 1 or not ANY_KEY.match(text):
        raise ValueError(KEY_EXPECTED)
    if text.startswith(OPENSSH) and _bcrypt_rounds(text) > MOST_ROUNDS:
        raise ValueError(ROUNDS_REFUSED)


def _is_whole(key: RSAPrivateKey) -> bool:
    """True when the numbers of the key belong together."""
    key_numbers = key.private_numbers()
    p, q, d, public = key_numbers.p, key_numbers.q, key_numbers.d, key_numbers.public_numbers
    return p * q == public.n and all(one > 1 and d * public.e % (one - 1) == 1 for one in (p, q))


def _bcrypt_rounds(text: str) -> int:
    """What a key in OpenSSH format demands. 0: it has no passphrase. Raises ValueError for what is no such key.

    Behind its magic it has three strings: cipher, function and options of the function. The options end with the rounds
    (PROTOCOL.key of OpenSSH). A string begins with its length, and numbers have 4 bytes.
    """
    try:
        rest = binascii.a2b_base64(text.removeprefix(OPENSSH).partition(OPENSSH_END)[0]).removeprefix(OPENSSH_MAGIC)
    except ValueError:
        raise ValueError(KEY_EXPECTED) from None
    string = b""
    for _ in range(3):
        length = int.from_bytes(rest[:4])
        string, rest = rest[4 : 4 + length], rest[4 + length :]
    return int.from_bytes(string[-4:])


def fingerprint(key: bytes) -> str:
    """The SHA-256 fingerprint of a public key, as `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
