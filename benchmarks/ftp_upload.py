"""Uploads the same file by this project's FTP delivery and by `curl -T`, in turns, and prints the ratio of throughputs.

    python benchmarks/ftp_upload.py                                   # to a pyftpdlib server in a process of its own
    FTP_PASSWORD=pass python benchmarks/ftp_upload.py --ca-file ca.pem ftps://user@localhost:2122/in ftp://...

1.00 is as fast as curl; the aim is 0.9 or more.
"""

import argparse
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contactexport.cli.ftp_url import ftp_settings_from_url
from contactexport.delivery.ftp import FtpDelivery
from contactexport.embedded import ftp_server
from contactexport.models import FtpTarget
from contactexport.network_guard import system_addresses

PASSWORD = "benchmark"  # noqa: S105 - of a server that lives for a minute
MEGABYTE = 1_000_000


def main() -> None:
    """Compares for each server, and prints one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="URL", help="FTP servers; without any, one is started")
    parser.add_argument("--ca-file", type=Path, help="PEM file with the authority of ftps:// servers")
    parser.add_argument("--megabytes", type=int, default=500, help="size of the file")
    parser.add_argument("--rounds", type=int, default=5, help="uploads of each kind; the fastest one counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = _file(Path(folder, "changes.csv"), options.megabytes)
        if options.servers:
            for url in options.servers:
                _compare(url, os.environ["FTP_PASSWORD"], file, options)
        else:
            with _own_server(Path(folder, "received")) as url:
                _compare(url, PASSWORD, file, options)


def _file(path: Path, megabytes: int) -> Path:
    block = os.urandom(MEGABYTE)
    with path.open("wb") as content:
        for _ in range(megabytes):
            content.write(block)
    return path


def _compare(url: str, password: str, file: Path, options: argparse.Namespace) -> None:
    """In turns, so that whatever else the machine does meets both."""
    target = ftp_settings_from_url(url)
    ours, curls = float("inf"), float("inf")
    for _ in range(options.rounds):
        curls = min(curls, _seconds(lambda: _upload_by_curl(target, password, file, options.ca_file)))
        ours = min(ours, _seconds(lambda: _upload(target, password, file, options.ca_file)))
    speeds = [options.megabytes / seconds for seconds in (ours, curls)]
    print(f"{url}: {speeds[0]:.0f} MB/s, curl {speeds[1]:.0f} MB/s, ratio {speeds[0] / speeds[1]:.2f}", flush=True)


def _upload(target: dict[str, Any], password: str, file: Path, ca_file: Path | None) -> None:
    port = target["port"] or 21
    ftp = FtpTarget(target["host"], port, target["username"], target["folder"], bool(target["tls"]))
    address = system_addresses(ftp.host, port)[0]
    export: Any = SimpleNamespace(file_name="ours.csv", attempt=1, bytes=file.stat().st_size)
    FtpDelivery(ftp, address, password, timeout=60, ca_file=ca_file).deliver(export, file)


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
    yield f"ftp://user@127.0.0.1:{here.recv()}/in"
    here.send("enough")
    process.join()


def _serve(folder: Path, pipe: Connection) -> None:
    with ftp_server.running(folder, "user", PASSWORD, 0) as port:
        pipe.send(port)
        pipe.recv()


if __name__ == "__main__":
    main()
