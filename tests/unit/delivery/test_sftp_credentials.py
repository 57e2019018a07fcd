"""Which private keys are accepted, and what is stored of them."""

import io
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from contactexport.delivery.sftp_connection import read
from contactexport.delivery.sftp_credentials import (
    KEY_EXPECTED,
    BadPassphrase,
    SftpCredentials,
    fingerprint,
    read_private_key,
)

ED25519 = Ed25519PrivateKey.generate()
KEYS = {
    "ed25519": ED25519,
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
}
FORMS = {
    "openssh": PrivateFormat.OpenSSH,
    "pkcs8": PrivateFormat.PKCS8,
    "traditional": PrivateFormat.TraditionalOpenSSL,
}
PASSPHRASE = "geheim"


def written(key, form: str = "openssh", passphrase: str | None = None) -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, FORMS[form], encryption).decode()


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
@pytest.mark.parametrize("form", FORMS)
def test_key_is_stored_without_its_passphrase_and_used(kind: str, form: str, passphrase: str | None):
    if kind == "ed25519" and form == "traditional":
        pytest.skip("there is no such form of this kind")
    stored = read_private_key(written(KEYS[kind], form, passphrase).replace("\n", "\r\n"), passphrase)
    assert stored.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    public = KEYS[kind].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode().split()[1]
    assert read(stored).get_base64() == public


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519 AAAA",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        written(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - too short on purpose
        written(dsa.generate_private_key(2048), "pkcs8"),
        written(ec.generate_private_key(ec.SECP256K1()), "pkcs8"),
    ],
)
def test_what_is_no_key_of_ours_is_refused_without_being_shown(text: str):
    with pytest.raises(ValueError, match="expected") as refused:
        read_private_key(text, None)
    assert str(refused.value) == KEY_EXPECTED


@pytest.mark.parametrize("form", ["openssh", "pkcs8"])
@pytest.mark.parametrize(
    "passphrase,given,text",
    [
        (PASSPHRASE, None, "the key needs its passphrase"),
        (PASSPHRASE, "wrong", "the key cannot be read with it"),
        (None, "needless", "the key has no passphrase"),
    ],
)
def test_wrong_passphrase_is_told(form: str, passphrase: str | None, given: str | None, text: str):
    with pytest.raises(BadPassphrase, match=f"^{text}$"):
        read_private_key(written(ED25519, form, passphrase), given)


def test_credentials_survive_storing_and_are_in_no_text():
    credentials = SftpCredentials(private_key=written(ED25519))
    assert SftpCredentials.from_text(credentials.to_text()) == credentials
    assert "PRIVATE" not in repr(credentials) + str(credentials)


def test_fingerprint_is_the_one_of_ssh_keygen(tmp_path: Path):
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(written(ED25519)))
    assert fingerprint(key.asbytes()) == key.fingerprint
