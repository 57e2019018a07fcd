"""Many uploads over TLS, each compared with what was sent (`make uploads`).

The servers are vsftpd and ProFTPD, which must be installed, and pyftpdlib with TLS 1.3. The exit code is 1 if any file
is missing or differs.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from OpenSSL import SSL
from pyftpdlib.handlers import TLS_FTPHandler

from contactexport.delivery.ftp import FtpDelivery
from contactexport.delivery.host_traits import HostTraits
from contactexport.exports.models import FtpTarget
from tests.support import certificates
from tests.support.exporting import PASSWORD
from tests.support.ftp_c_servers import Server, proftpd, vsftpd
from tests.support.ftp_hosts import files, serving


@contextmanager
def pyftpdlib_with_tls_1_3(folder: Path, pem: Path) -> Iterator[Server]:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.use_certificate_chain_file(str(pem))
    context.use_privatekey_file(str(pem))
    handler = type("Handler", (TLS_FTPHandler,), {})
    with serving(folder, handler, ssl_context=context, tls_control_required=True, tls_data_required=True) as (
        port,
        _told,
    ):
        yield Server(port, "user", folder, folder)


SERVERS = {"vsftpd": vsftpd, "proftpd": proftpd, "pyftpdlib under TLS 1.3": pyftpdlib_with_tls_1_3}


def upload_again_and_again(server: str, folder: Path, file: Path, pem: Path, *, count: int, size: int) -> list[str]:
    """Uploads so many files of so many random bytes. Returns one line for each wrong upload."""
    wrong = []
    with SERVERS[server](folder, pem) as running:
        target_folder = str(running.inbox.relative_to(running.folder))
        target = FtpTarget("localhost", running.port, running.username, target_folder, tls=True)
        traits = HostTraits(store=lambda trait, told: wrong.append(f"learned {trait}: {told}"))
        for number in range(count):
            file.write_bytes(os.urandom(size))
            export = SimpleNamespace(file_name=f"{number}.csv", attempt=1, bytes=size)
            delivery = FtpDelivery(target, "127.0.0.1", PASSWORD, timeout=30, ca_file=pem, traits=traits)
            with file.open("rb") as content:
                delivery.deliver(export, content)
            arrived = running.inbox / export.file_name
            if files(running.inbox) != [arrived.name]:
                wrong.append(f"{number}: {files(running.inbox)}")
            elif hashlib.sha256(arrived.read_bytes()).digest() != hashlib.sha256(file.read_bytes()).digest():
                wrong.append(f"{number}: another hash")
            arrived.unlink(missing_ok=True)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="Uploads over TLS, each compared with what was sent.")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--size", type=int, default=30_000_000, help="bytes")
    asked = parser.parse_args()
    failed = False
    for server in SERVERS:
        with tempfile.TemporaryDirectory() as made:
            Path(made).chmod(0o755)
            (served := Path(made, "served")).mkdir()
            pem = certificates.self_signed(Path(made, "host.pem"), "localhost")
            began = time.monotonic()
            try:
                wrong = upload_again_and_again(
                    server, served, Path(made, "x.csv"), pem, count=asked.count, size=asked.size
                )
            except pytest.skip.Exception as missing:
                print(f"{server}: not tried, {missing}")
                continue
            seconds = time.monotonic() - began
            failed = failed or bool(wrong)
            print(f"{server}: {asked.count} uploads of {asked.size} bytes, {len(wrong)} wrong, {seconds:.1f} s")
            for line in wrong:
                print(f"WRONG {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
