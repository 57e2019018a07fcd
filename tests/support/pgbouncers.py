"""A real PgBouncer before the tests' Postgres."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is not installed (Debian: apt install pgbouncer)"
)


@contextmanager
def pgbouncer(url: str, mode: str, pool_size: int = 20, **settings: object) -> Iterator[str]:
    """The URL of the same database through a PgBouncer in this pool mode."""
    to = psycopg2.extensions.parse_dsn(url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # It refuses to run as root, and only the user of the embedded server may use its socket.
    user = "pgserver" if os.geteuid() == 0 else None
    # Not below pytest's own folder, which only root may enter.
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        own = Path(folder)
        (own / "users").write_text(f'"{to["user"]}" "{to.get("password", "")}"\n')
        values = {
            "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_type": "trust",
            "auth_file": own / "users", "pool_mode": mode, "default_pool_size": pool_size, "logfile": own / "log",
        }  # fmt: skip
        server = " ".join(
            f"{name}={to[name]}" for name in ("host", "port", "dbname", "user", "password") if to.get(name)
        )
        lines = [f"{name} = {value}" for name, value in (values | settings).items()]
        (own / "ini").write_text("\n".join(["[databases]", f"{to['dbname']} = {server}", "[pgbouncer]", *lines, ""]))
        for path in (own, *own.iterdir()):
            shutil.chown(path, user or os.getuid())
        process = subprocess.Popen([str(PROGRAM), "--quiet", str(own / "ini")], user=user)
        try:
            _wait_for(process, port, own / "log")
            yield f"postgresql://{to['user']}@127.0.0.1:{port}/{to['dbname']}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"pgbouncer does not listen: {log.read_text() if log.exists() else process.returncode}")
