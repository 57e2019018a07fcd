"""gunicorn with an application, configured like the service."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import contacts
from running_worker import environment

from contactexport.context import Context

READY_SECONDS = 30


@contextmanager
def serving(context: Context, app: str, **settings: str) -> Iterator[int]:
    """The port of a server that runs until the block ends. Its log goes to a file in the data folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context.settings.data_dir.mkdir(exist_ok=True)
    paths = os.pathsep.join([str(contacts.PROJECT), str(contacts.PROJECT / "benchmarks")])
    with (context.settings.data_dir / f"{app.partition(':')[0]}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "--bind", f"127.0.0.1:{port}", app],
            cwd=contacts.PROJECT,
            env=environment(context, **settings) | {"DRAIN_SECONDS": "0", "PYTHONPATH": paths},
            stderr=log,
        )
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not answer")
