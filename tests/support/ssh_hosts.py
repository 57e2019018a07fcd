"""SFTP hosts: OpenSSH's own server, and one of paramiko with the faults of others, which also takes passwords."""

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest
from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface

from contactexport.delivery.sftp_credentials import SftpCredentials, fingerprint
from contactexport.exports.models import ExportSettings, SftpTarget
from tests.support.exporting import PASSWORD, settings_for
from tests.support.ftp_hosts import free_port

CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
{host_keys}
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
PermitRootLogin yes
UsePAM no
PasswordAuthentication yes
Subsystem sftp internal-sftp -d {inbox}
PidFile none
"""


@dataclass(frozen=True)
class SshHost:
    """A host that runs. `host_keys` are the fingerprints of its keys by kind, `private_key` opens it."""

    port: int
    username: str
    host_keys: dict[str, str]
    private_key: str = ""
    connections: list[str] = field(default_factory=list)

    @property
    def credentials(self) -> SftpCredentials:
        return SftpCredentials(private_key=self.private_key) if self.private_key else SftpCredentials(PASSWORD)

    def target(self, folder: str | None = None, **changes: str | None) -> SftpTarget:
        values = {"host_key": next(iter(self.host_keys.values())), "folder": folder} | changes
        return SftpTarget("127.0.0.1", self.port, values.pop("username", self.username), **values)

    def settings(self, folder: str | None = None, **changes: str | None) -> ExportSettings:
        """Those of an export that goes there. `compression` and `openpgp_key` are its form."""
        form = {name: changes.pop(name) for name in ("compression", "openpgp_key") if name in changes}
        return settings_for(distribution_method="sftp", sftp=self.target(folder, **changes), **form)


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", *options: str) -> str:
    """Makes a key pair and returns the text of the private key."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed (Debian: openssh-client)")
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path), *options]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.read_text()


def fingerprint_of(public_key: Path) -> str:
    return fingerprint(paramiko.PublicBlob.from_file(str(public_key)).key_blob)


@contextmanager
def openssh(
    folder: Path, *, kinds: tuple[str, ...] = ("ed25519",), user_key: str = "ed25519", port: int | None = None
) -> Iterator[SshHost]:
    """OpenSSH's server with keys of its own. The files arrive in the folder `inbox` of `folder`."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    folder.mkdir(exist_ok=True)
    (folder / "inbox").mkdir(exist_ok=True)
    for kind in kinds:
        if not (folder / f"host_{kind}").exists():
            make_key(folder / f"host_{kind}", kind)
    private_key = make_key(own := folder / "user_key", user_key) if not (folder / "user_key").exists() else ""
    shutil.copy((own := folder / "user_key").with_suffix(".pub"), folder / "authorized_keys")
    port = port or free_port()
    keys = "\n".join(f"HostKey {folder}/host_{kind}" for kind in kinds)
    configuration = folder / "sshd_config"
    configuration.write_text(CONFIGURATION.format(port=port, host_keys=keys, folder=folder, inbox=folder / "inbox"))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(configuration)], stderr=log)
    try:
        wait_for(port, process)
        found = {kind: fingerprint_of(folder / f"host_{kind}.pub") for kind in kinds}
        yield SshHost(port, getpass.getuser(), found, private_key or own.read_text())
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when the server takes connections."""
    for _ in range(500):
        if process.poll() is not None:
            pytest.fail(f"sshd has ended with {process.returncode}")
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("sshd does not start")


class OddFolder(SFTPServerInterface):
    """Serves a folder as a well-behaved host does, but for what a subclass changes. Its `log` has what was asked."""

    root: Path
    log: list[str]

    def __init__(self, server: paramiko.ServerInterface, *args: object, **kwargs: object) -> None:
        super().__init__(server, *args, **kwargs)
        self.root, self.log = server.root, server.log

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def canonicalize(self, path: str) -> str:
        return "/" + path.lstrip("/")

    def stat(self, path: str) -> SFTPAttributes | int:
        self.log.append(f"stat {path}")
        try:
            return SFTPAttributes.from_stat(self.path(path).stat())
        except OSError as error:
            return SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        self.log.append(f"open {path}")
        try:
            descriptor = os.open(self.path(path), flags, 0o644)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno)
        return self.handle(os.fdopen(descriptor, "wb"), flags)

    def handle(self, file, flags: int) -> SFTPHandle:
        handle = SFTPHandle(flags)
        handle.writefile = handle.readfile = file
        return handle

    def remove(self, path: str) -> int:
        self.log.append(f"remove {path}")
        return self.done(lambda: self.path(path).unlink())

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        self.log.append(f"mkdir {path}")
        return self.done(lambda: self.path(path).mkdir())

    def rename(self, oldpath: str, newpath: str) -> int:
        """As in version 3 of the protocol: refused if there is such a file."""
        self.log.append(f"rename {newpath}")
        if self.path(newpath).exists():
            return paramiko.SFTP_FAILURE
        return self.done(lambda: self.path(oldpath).rename(self.path(newpath)))

    def done(self, do) -> int:
        try:
            do()
        except OSError as error:
            return SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK


class Stingy(SFTPHandle):
    """A file that the disk has no room for, after so many bytes."""

    room = 100_000

    def write(self, offset: int, data: bytes) -> int:
        return paramiko.SFTP_FAILURE if offset + len(data) > self.room else super().write(offset, data)


class Silent(SFTPHandle):
    """A file whose host falls silent, after so many bytes."""

    silenced: threading.Event
    ended: threading.Event

    def write(self, offset: int, data: bytes) -> int:
        if offset >= 100_000:
            self.silenced.set()
            self.ended.wait(60)
        return super().write(offset, data)


class _Login(paramiko.ServerInterface):
    transport: paramiko.Transport

    def __init__(self, root: Path, log: list[str]) -> None:
        self.root, self.log = root, log

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, password) == ("user", PASSWORD) else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


@contextmanager
def odd_host(folder: Path, ways: type[OddFolder] = OddFolder) -> Iterator[SshHost]:
    """A host with these ways. Its user logs in by a password. Its `connections` has what was asked of it."""
    folder.mkdir(exist_ok=True)
    key = paramiko.ECDSAKey.generate()
    log: list[str] = []
    transports: list[paramiko.Transport] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connected = server.accept()[0]
            except OSError:
                return
            transport = paramiko.Transport(connected)
            transports.append(transport)
            login = _Login(folder, log)
            login.transport = transport
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", SFTPServer, ways)
            try:
                transport.start_server(event=threading.Event(), server=login)
            except (paramiko.SSHException, EOFError):
                continue

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield SshHost(server.getsockname()[1], "user", {"ecdsa": fingerprint(key.asbytes())}, connections=log)
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(30)
        for transport in transports:
            transport.close()
