"""Key rings of GnuPG: a receiver of encrypted files."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Gpg:
    """A key ring. Its path is short, because the agent has a socket in it."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __call__(self, *arguments: str, given: bytes | None = None) -> bytes:
        command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *arguments]
        environment = os.environ | {"GNUPGHOME": str(self._home)}
        done = subprocess.run(command, env=environment, input=given, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def new_key(self, name: str, algorithm: str = "default", usage: str = "default", expires: str = "never") -> str:
        """Makes a key and returns its public half, armored."""
        self("--quick-generate-key", f"{name}@example.com", algorithm, usage, expires)
        return self.public(name)

    def public(self, name: str) -> str:
        return self("--armor", "--export", f"{name}@example.com").decode()

    def private(self, name: str) -> str:
        return self("--armor", "--export-secret-keys", f"{name}@example.com").decode()

    def decrypted(self, content: bytes) -> bytes:
        return self("--decrypt", given=content)


@contextmanager
def key_ring() -> Iterator[Gpg]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed (Debian: gnupg)")
    home = Path(tempfile.mkdtemp(prefix="gpg"))
    try:
        yield Gpg(home)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=os.environ | {"GNUPGHOME": str(home)}, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
