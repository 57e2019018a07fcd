"""Ed25519 keys that sign manifests (RFC 8032), and the file of public keys: a JWK Set (RFC 7517, RFC 8037)."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_FILE_EXPECTED = "a JWK Set with Ed25519 keys expected, as `flask secrets manifest-key` prints it"
CURVE = {"crv": "Ed25519", "kty": "OKP"}


@dataclass(frozen=True)
class SigningKey:
    """A private key. Neither its text nor an error shows it."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def new(cls) -> "SigningKey":
        """A key that nobody has yet."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """The inverse of `to_text`."""
        return cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text)))

    def to_text(self) -> str:
        """The secret as 64 hex digits, to be encrypted."""
        return self.private.private_bytes_raw().hex()

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.private.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> str:
        """The signature in base64."""
        return base64.b64encode(self.private.sign(content)).decode()


@dataclass(frozen=True)
class PublicKeys:
    """The keys that a verifier trusts, by id, oldest first."""

    by_id: Mapping[str, Ed25519PublicKey]

    @classmethod
    def read(cls, text: str) -> "PublicKeys":
        """The keys of a JWK Set, also within the envelope of the API. Raises ValueError.

        The ids that it names are not trusted: each is worked out from its key.
        """
        try:
            document = json.loads(text)
            found = document.get("data", document)["keys"]
            keys = [base64.urlsafe_b64decode(one["x"] + "=") for one in found if CURVE.items() <= one.items()]
            by_id = {key_id(key): Ed25519PublicKey.from_public_bytes(key) for key in keys}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(KEY_FILE_EXPECTED) from None
        if not by_id:
            raise ValueError(KEY_FILE_EXPECTED)
        return cls(by_id)

    def age(self, name: str) -> int:
        """The place of a key, 0 for the oldest."""
        return list(self.by_id).index(name)

    def has_signed(self, name: str, signature: str, content: bytes) -> bool:
        """True if this key has made the signature.

        Base64 leaves some bits of its last digit unused, so a signature counts in its one proper form only.
        """
        try:
            plain = base64.b64decode(signature, validate=True)
            self.by_id[name].verify(plain, content)
        except (ValueError, InvalidSignature):
            return False
        return base64.b64encode(plain).decode() == signature


def key_id(public: bytes) -> str:
    """The id of a public key: its thumbprint (RFC 7638), so that a key cannot go by the id of another."""
    return _base64url(hashlib.sha256(rfc8785.dumps({**CURVE, "x": _base64url(public)})).digest())


def key_set(public_keys: Sequence[bytes], **more: Sequence[Any]) -> dict[str, Any]:
    """The JWK Set of public keys. `more` are further members, with a value for each key."""
    return {
        "keys": [
            {
                **CURVE,
                "x": _base64url(public),
                "kid": key_id(public),
                "use": "sig",
                "alg": "EdDSA",
                **{name: values[number] for name, values in more.items()},
            }
            for number, public in enumerate(public_keys)
        ]
    }


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
