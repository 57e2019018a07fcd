"""Which private keys are accepted, and what is stored of them."""

import base64
import io
import re
import subprocess
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
    MOST_KEY_CHARACTERS,
    PKCS8_REFUSED,
    ROUNDS_REFUSED,
    BadPassphrase,
    SftpCredentials,
    fingerprint,
    read_private_key,
    require_quickly_read,
)
from contactexport.errors import DeliveryFailed

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
    if form == "pkcs8" and passphrase:
        pytest.skip("refused, see below")
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


def with_rounds(rounds: int) -> str:
    """A key in OpenSSH format that says it needs so many rounds of bcrypt."""
    head, *lines, end = written(ED25519, "openssh", PASSPHRASE).splitlines()
    content = base64.b64decode("".join(lines))
    name = content.index(b"bcrypt") + len(b"bcrypt")
    at = name + 4 + 4 + 16  # behind the length of the options, and the salt with its own
    changed = content[: at - 15] + base64.b64decode("ENDA") * 4 + content[at - 3 : at]
    changed += rounds.to_bytes(4) + content[at + 4 :]
    return "\n".join([head, base64.b64encode(changed).decode(), end])


@pytest.mark.parametrize("rounds", [257, 100_000, 2**32 - 1])
def test_key_that_takes_long_to_decrypt_is_refused_before_it_is_tried(rounds: int):
    text = with_rounds(rounds)
    for given in (PASSPHRASE, None):
        with pytest.raises(ValueError, match=f"^{re.escape(ROUNDS_REFUSED)}$"):
            read_private_key(text, given)
    # A mark that looks like the end, within the salt.
    assert text[100:104] == "ENDA"
    with pytest.raises(ValueError, match=f"^{re.escape(ROUNDS_REFUSED)}$"):
        read_private_key(text[:100] + "-----" + text[100:], PASSPHRASE)
    with pytest.raises(DeliveryFailed, match="The stored private key cannot be read"):
        read(text)


def test_key_with_more_rounds_than_usual_is_accepted():
    encryption = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(64).build(PASSPHRASE.encode())
    text = ED25519.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption).decode()
    assert read(read_private_key(text, PASSPHRASE)) == read(written(ED25519))


@pytest.mark.parametrize("given", [PASSPHRASE, "wrong", None])
def test_pkcs8_with_a_passphrase_is_refused_with_a_remedy(tmp_path: Path, given: str | None):
    """Its PBKDF2 or scrypt may take minutes and holds the lock of the interpreter."""
    text = written(ED25519, "pkcs8", PASSPHRASE)
    with pytest.raises(ValueError, match=f"^{re.escape(PKCS8_REFUSED)}$"):
        read_private_key(text, given)
    with pytest.raises(ValueError, match=f"^{re.escape(KEY_EXPECTED)}$"):
        read_private_key(written(KEYS["p256"], "traditional").rstrip() + "\n" + text, given)


def test_pkcs8_with_a_passphrase_is_read_after_its_remedy(tmp_path: Path):
    path = tmp_path / "key"
    path.write_text(written(KEYS["rsa"], "pkcs8", PASSPHRASE))
    path.chmod(0o600)
    command = ["ssh-keygen", "-p", "-f", str(path), "-P", PASSPHRASE, "-N", PASSPHRASE]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("ssh-keygen is not installed")
    assert read(read_private_key(path.read_text(), PASSPHRASE)) == read(written(KEYS["rsa"]))


def test_text_that_is_longer_than_any_key_is_not_read():
    text = written(ED25519)
    padded = text.replace("\n", "\n" + "\n" * MOST_KEY_CHARACTERS, 1)
    for reads in (lambda: read_private_key(padded, None), lambda: require_quickly_read(padded)):
        with pytest.raises(ValueError, match=f"^{re.escape(KEY_EXPECTED)}$"):
            reads()
    with pytest.raises(DeliveryFailed):
        read(padded)


@pytest.mark.parametrize("form", ["openssh", "traditional"])
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
        read_private_key(written(KEYS["p256"], form, passphrase), given)


def test_rsa_key_that_takes_long_to_check_is_refused_before_it_is_checked():
    """The numbers are none of primes, so the test of primes would tell them from a key."""
    p, q, e = 3**5200, 5**3500, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q))
    text = written(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    assert len(text) < MOST_KEY_CHARACTERS
    with pytest.raises(ValueError, match=f"^{re.escape(KEY_EXPECTED)}$"):
        read_private_key(text, None)


@pytest.mark.parametrize("form", ["openssh", "traditional", "pkcs8"])
def test_rsa_key_whose_numbers_do_not_belong_together_is_refused(form: str):
    first, second = (rsa.generate_private_key(65537, 2048).private_numbers() for _ in range(2))
    numbers = rsa.RSAPrivateNumbers(
        first.p, first.q, second.d, first.dmp1, first.dmq1, first.iqmp, first.public_numbers
    )
    with pytest.raises(ValueError, match=f"^{re.escape(KEY_EXPECTED)}$"):
        read_private_key(written(numbers.private_key(unsafe_skip_rsa_key_validation=True), form), None)


def test_credentials_survive_storing_and_are_in_no_text():
    credentials = SftpCredentials(private_key=written(ED25519))
    assert SftpCredentials.from_text(credentials.to_text()) == credentials
    assert "PRIVATE" not in repr(credentials) + str(credentials)


def test_fingerprint_is_the_one_of_ssh_keygen(tmp_path: Path):
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(written(ED25519)))
    assert fingerprint(key.asbytes()) == key.fingerprint
