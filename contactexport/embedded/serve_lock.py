"""What only one `flask serve` can have: its port, and a data folder with the embedded Postgres."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contactexport.errors import UsageError


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Locks the data folder while the block runs. The lock ends with the process.

    Raises UsageError if another process holds it, or if the folder is not writable.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(f"The data folder {data_dir} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"The service runs already in {data_dir}: end it, or choose another folder with CONTACTEXPORT_DATA_DIR"
            ) from None
        yield
    finally:
        os.close(descriptor)


def require_free_port(host: str, port: int) -> None:
    """Raises UsageError if the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(f"Cannot listen on {host}:{port}: {error.strerror}") from None
