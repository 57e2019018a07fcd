"""Uploads the same file by the FTP delivery of this project and by `curl -T`, in turns. Prints their ratio.

    python benchmarks/ftp_upload.py                                   # to a pyftpdlib server in a process of its own
    FTP_PASSWORD=pass python benchmarks/ftp_upload.py --ca-file ca.pem ftps://user@localhost:2122/in ftp://...

1.00 is as fast as curl. The aim is 0.9 or more. With the benchmark's own server the received file is compared.
"""

import argparse
import hashlib
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import results

from contactexport.cli.ftp_url import ftp_settings_from_url
from contactexport.delivery.ftp import FtpDelivery
from contactexport.embedded import ftp_server
from contactexport.exports.models import FtpTarget
from contactexport.hosts.guard import system_addresses

PASSWORD = "benchmark"  # noqa: S105 - of a server that lives for a minute
MEGABYTE = 1_000_000


def main() -> None:
    """Compares for each server, and stores the table `ftp_upload`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="URL", help="FTP servers; without any, one is started")
    parser.add_argument("--ca-file", type=Path, help="PEM file with the authority of ftps:// servers")
    parser.add_argument("--scale", type=float, default=1, help="1: a file of 500 MB")
    parser.add_argument("--rounds", type=int, default=9, help="uploads of each kind; the median one counts")
    options = parser.parse_args()
    megabytes = max(round(500 * options.scale), 1)
    with tempfile.TemporaryDirectory() as folder:
        file = _file(Path(folder, "changes.csv"), megabytes)
        if options.servers:
            password = os.environ["FTP_PASSWORD"]
            rows = [row for url in options.servers for row in _compared(url, password, file, options)]
        else:
            received = Path(folder, "received")
            with _own_server(received) as url:
                rows = _compared(url, PASSWORD, file, options)
            _require_same(file, *(received / "in").iterdir())
    about = f"A file of {megabytes} MB; the median of {options.rounds} uploads counts."
    results.save(
        results.Table("ftp_upload", "An upload by FTP against curl -T", about, "speed against curl", tuple(rows))
    )


def _file(path: Path, megabytes: int) -> Path:
    block = os.urandom(MEGABYTE)
    with path.open("wb") as content:
        for _ in range(megabytes):
            content.write(block)
    return path


def _compared(url: str, password: str, file: Path, options: argparse.Namespace) -> list[results.Row]:
    """Uploads in turns, so that other load of the machine affects both. Without curl, only by contactexport."""
    target = ftp_settings_from_url(url)
    uploads = {"contactexport": _upload, "curl -T": _upload_by_curl}
    if shutil.which("curl") is None:
        del uploads["curl -T"]
    rounds: dict[str, list[float]] = {name: [] for name in uploads}
    for _ in range(options.rounds):
        for name, upload in uploads.items():
            rounds[name].append(_seconds(partial(upload, target, password, file, options.ca_file)))
    seconds = {name: statistics.median(taken) for name, taken in rounds.items()}
    where = {"server": f"{target['host']}:{target['port'] or 21}"} if options.servers else {}
    megabytes = file.stat().st_size / MEGABYTE
    ratio = seconds["curl -T"] / seconds["contactexport"] if "curl -T" in seconds else None
    rows = [results.Row("contactexport", megabytes / seconds["contactexport"], "MB/s", ratio, "at least 0.9", where)]
    if ratio is not None:
        rows.append(results.Row("curl -T", megabytes / seconds["curl -T"], "MB/s", 1.0, more=where))
    return rows


def _require_same(file: Path, *received: Path) -> None:
    digests = {hashlib.sha256(one.read_bytes()).hexdigest() for one in (file, *received)}
    if len(digests) > 1:
        sys.exit("the server has received something else than was sent")


def _upload(target: dict[str, Any], password: str, file: Path, ca_file: Path | None) -> None:
    port = target["port"] or 21
    ftp = FtpTarget(target["host"], port, target["username"], target["folder"], bool(target["tls"]))
    address = system_addresses(ftp.host, port)[0]
    export: Any = SimpleNamespace(file_name="ours.csv", attempt=1, bytes=file.stat().st_size)
    with file.open("rb") as content:
        FtpDelivery(ftp, address, password, timeout=60, ca_file=ca_file).deliver(export, content)


def _upload_by_curl(target: dict[str, Any], password: str, file: Path, ca_file: Path | None) -> None:
    url = f"ftp://{target['host']}:{target['port'] or 21}/{target['folder'] or ''}/curls.csv"
    command = ["curl", "--silent", "--show-error", "--ftp-create-dirs", "-T", str(file), "--config", "-", url]
    if target["tls"]:
        command += ["--ssl-reqd"]
    if ca_file:
        command += ["--cacert", str(ca_file)]
    subprocess.run(command, input=f'user = "{target["username"]}:{password}"'.encode(), check=True)


def _seconds(do: Callable[[], None]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


@contextmanager
def _own_server(folder: Path) -> Iterator[str]:
    folder.mkdir()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(folder, there))
    process.start()
    try:
        yield f"ftp://user@127.0.0.1:{here.recv()}/in"
    finally:
        here.send("enough")
        process.join()


def _serve(folder: Path, pipe: Connection) -> None:
    with ftp_server.running(folder, "user", PASSWORD, 0) as port:
        pipe.send(port)
        pipe.recv()


if __name__ == "__main__":
    main()
