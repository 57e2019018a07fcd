"""FTP servers written in C, from Debian's packages. They require the TLS session of the control connection for data."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.exporting import PASSWORD
from tests.support.ftp_hosts import free_port

VSFTPD = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
anon_root={folder}
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
ssl_ciphers=HIGH
rsa_cert_file={pem}
seccomp_sandbox=NO
secure_chroot_dir={empty}
xferlog_enable=NO
"""

# Requires the session by default, unless NoSessionReuseRequired is set.
PROFTPD = """
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
UseIPv6 off
Port {port}
User {user}
Group {group}
AuthUserFile {empty}/passwd
AuthOrder mod_auth_file.c
RequireValidShell off
RootLogin on
DefaultRoot {folder}
PidFile {empty}/pid
ScoreboardFile {empty}/score
DelayEngine off
WtmpLog off
AllowOverwrite on
{modules}
LoadModule mod_tls.c
TLSEngine on
TLSRequired on
TLSRSACertificateFile {pem}
TLSRSACertificateKeyFile {pem}
TLSLog {empty}/tls.log
SystemLog {empty}/log
"""


@dataclass
class Server:
    """A running server. A login begins in `folder` and may write in `inbox` below it."""

    port: int
    username: str
    folder: Path
    inbox: Path


@contextmanager
def vsftpd(folder: Path, pem: Path) -> Iterator[Server]:
    program = _program("vsftpd", "vsftpd")
    if os.geteuid() != 0:
        pytest.skip("vsftpd changes its user: only root can run it")
    inbox = folder / "upload"  # it refuses a root folder that is writable
    inbox.mkdir()
    shutil.chown(inbox, "ftp")
    with _started(VSFTPD, folder, pem, lambda file: [program, str(file)]) as port:
        yield Server(port, "anonymous", folder, inbox)


@contextmanager
def proftpd(folder: Path, pem: Path) -> Iterator[Server]:
    program = _program("proftpd", "proftpd-core proftpd-mod-crypto")
    modules = Path(program).parent.parent / "lib" / "proftpd"
    if not (modules / "mod_tls.so").exists():
        pytest.skip("proftpd has no TLS here: apt-get install proftpd-mod-crypto")
    secret = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True)
    passwords = _empty(folder) / "passwd"
    passwords.touch(mode=0o600)
    passwords.write_text(f"user:{secret.stdout.strip()}:{os.getuid()}:{os.getgid()}::{folder}:/bin/sh\n")
    with _started(
        PROFTPD,
        folder,
        pem,
        lambda file: [program, "--nodaemon", "--quiet", "--config", str(file)],
        f"ModulePath {modules}",
    ) as port:
        yield Server(port, "user", folder, folder)


def _empty(folder: Path) -> Path:
    empty = folder.with_name("empty")
    empty.mkdir(exist_ok=True)
    return empty


def _program(name: str, packages: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {packages}")
    return found


@contextmanager
def _started(configuration: str, folder: Path, pem: Path, command, modules: str = "") -> Iterator[int]:
    port, file = free_port(), folder.with_name("server.conf")
    values = {"port": port, "folder": folder, "pem": pem, "empty": _empty(folder), "modules": modules}
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    file.write_text(configuration.format(user=user, group=group, **values))
    process = subprocess.Popen(command(file))
    try:
        _wait_until_it_listens(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_listens(process: subprocess.Popen, port: int) -> None:
    for _ in range(200):
        assert process.poll() is None, f"{process.args[0]} ended with {process.returncode}"
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"{process.args[0]} does not answer")
