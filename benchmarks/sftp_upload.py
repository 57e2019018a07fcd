"""Uploads the same file by the SFTP delivery of this project and by the program `sftp`, in turns. Prints their ratio.

    python benchmarks/sftp_upload.py          # to an sshd of its own, with its own keys

1.00 is as fast as `sftp`. The aim is 0.7 or more. The received file is compared. Needs sshd and sftp.
"""

import argparse
import getpass
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import results

from contactexport.delivery.sftp import SftpDelivery
from contactexport.delivery.sftp_credentials import SftpCredentials, read_private_key
from contactexport.exports.models import SftpTarget

MEGABYTE = 1_000_000
CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Host:
    """A running sshd, whose files of keys are in the folder."""

    folder: Path
    port: int
    host_key: str


def main() -> None:
    """Compares, and stores the table `sftp_upload`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: a file of 500 MB")
    parser.add_argument("--rounds", type=int, default=9, help="uploads of each kind; the median one counts")
    options = parser.parse_args()
    megabytes = max(round(500 * options.scale), 1)
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None or shutil.which("sftp") is None:
        print("not measured: sshd and sftp are needed (Debian: openssh-server, openssh-client)")
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        file = folder / "changes.csv"
        with file.open("wb") as content:
            block = os.urandom(MEGABYTE)
            for _ in range(megabytes):
                content.write(block)
        with _host(folder, program) as host:
            uploads: dict[str, Callable[[Host, Path], None]] = {"contactexport": _upload, "sftp": _upload_by_sftp}
            rounds: dict[str, list[float]] = {name: [] for name in uploads}
            for _ in range(options.rounds):
                for name, upload in uploads.items():
                    started = time.perf_counter()
                    upload(host, file)
                    rounds[name].append(time.perf_counter() - started)
        if len({_digest(one) for one in (file, folder / "ours.csv", folder / "theirs.csv")}) > 1:
            sys.exit("the server has received something else than was sent")
    seconds = {name: statistics.median(taken) for name, taken in rounds.items()}
    ours, theirs = (megabytes / seconds[name] for name in uploads)
    rows = (
        results.Row("contactexport", ours, "MB/s", ours / theirs, "at least 0.7"),
        results.Row("sftp", theirs, "MB/s", 1.0),
    )
    about = f"A file of {megabytes} MB; the median of {options.rounds} uploads counts."
    results.save(results.Table("sftp_upload", "An upload by SFTP against sftp", about, "speed against sftp", rows))


def _upload(host: Host, file: Path) -> None:
    target = SftpTarget("127.0.0.1", host.port, getpass.getuser(), host.host_key, str(host.folder))
    credentials = SftpCredentials(private_key=read_private_key((host.folder / "user_key").read_text(), None))
    export: Any = SimpleNamespace(file_name="ours.csv", attempt=1, bytes=file.stat().st_size)
    with file.open("rb") as content:
        SftpDelivery(target, "127.0.0.1", credentials, timeout=60).deliver(export, content)


def _upload_by_sftp(host: Host, file: Path) -> None:
    known_hosts = "-oUserKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=no"
    command = ["sftp", "-q", "-b", "-", "-P", str(host.port), "-i", str(host.folder / "user_key"), *known_hosts]
    batch = f"put {file} {host.folder}/theirs.csv.part\nrename {host.folder}/theirs.csv.part {host.folder}/theirs.csv\n"
    subprocess.run([*command, "127.0.0.1"], input=batch.encode(), check=True, capture_output=True)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _host(folder: Path, program: str) -> Iterator[Host]:
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(folder / "host_key.pub")], check=True, capture_output=True, text=True
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIGURATION.format(folder=folder, port=port))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # Debian's sshd wants it
    process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield Host(folder, port, shown.stdout.split()[1])
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
