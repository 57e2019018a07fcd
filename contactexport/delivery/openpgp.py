"""OpenPGP certificates that files are encrypted for (RFC 9580). The library is pysequoia."""

import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

ARMORED = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
PRIVATE = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
PRIVATE_SENT = "it is a private key, which must not be sent: export the public key"
MOST_CHARACTERS = 100_000
EXPECTED = "an armored public key (BEGIN PGP PUBLIC KEY BLOCK) expected"
# Run by a process of its own. Its arguments are the files of the certificate and of the result. It reads what is to be
# encrypted from its standard input, so that the memory of both processes stays flat, and no thread here has to wait.
# Who stops a service signals all its processes at once. This one ends with its standard input, so its parent decides.
ENCRYPT = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pysequoia import Cert, encrypt_file
try:
    encrypt_file("/dev/stdin", sys.argv[2], recipients=[Cert.from_file(sys.argv[1])], armor=False)
except RuntimeError as error:
    text = str(error).splitlines()[0]
    print(text, file=sys.stderr)
    sys.exit({} if "os error" in str(error) else {})
"""
# How it ends: a disk that is full may have room later, a certificate does not change.
DISK_REFUSES, KEY_REFUSES = 10, 11


class BadCertificate(ValueError):
    """Nothing can be encrypted for this certificate. str() says why, and shows nothing of it."""


def read_certificate(text: str) -> str:
    """Returns one armored public key that can encrypt now, without anything private. Raises BadCertificate."""
    from pysequoia import Cert, encrypt  # only a few requests need the library

    text = text.strip()
    if text.startswith(PRIVATE):
        raise BadCertificate(PRIVATE_SENT)
    if not text.startswith(ARMORED) or len(text) > MOST_CHARACTERS:
        raise BadCertificate(EXPECTED)
    try:
        found = Cert.split_bytes(text.encode())
    except RuntimeError:
        raise BadCertificate(EXPECTED) from None
    if len(found) != 1:
        raise BadCertificate(f"{len(found)} keys are in it, and one is expected")
    (one,) = found
    ends = one.expiration
    for is_wrong, what in (
        (one.is_revoked, "it is revoked"),
        (ends is not None and ends.astimezone(UTC) <= datetime.now(UTC), f"it has expired: {ends}"),
    ):
        if is_wrong:
            raise BadCertificate(what)
    try:
        encrypt(b"", recipients=[one])
    except RuntimeError:
        raise BadCertificate("it has no subkey that can encrypt now") from None
    return str(one)


@lru_cache(256)  # each status of an export shows it
def fingerprint(certificate: str) -> str:
    """The fingerprint of a usable certificate, in upper case as `gpg` prints it."""
    from pysequoia import Cert

    return str(Cert.from_bytes(certificate.encode()).fingerprint).upper()


def encrypting(certificate: Path, result: Path) -> list[str]:
    """The command that encrypts its standard input for the certificate in one file into the other file."""
    return [sys.executable, "-P", "-c", ENCRYPT.format(DISK_REFUSES, KEY_REFUSES), str(certificate), str(result)]
