"""A real worker, started as `flask serve` starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import contacts

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import Export
from contactexport.settings import PREFIX

LONGEST_SECONDS = 300
LOOK_SECONDS = 0.02


@contextmanager
def worker(backend: Backend, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
    """So many exports at a time; its log goes to a file in the data folder."""
    options = ["--concurrency", str(concurrency), "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    backend.settings.data_dir.mkdir(exist_ok=True)
    with (backend.settings.data_dir / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "--app", "celery_worker", "worker", *options],
            cwd=contacts.PROJECT,
            env=environment(backend),
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def environment(backend: Backend, **settings: str) -> dict[str, str]:
    """That of a process which works with the backend's database and folders, whatever the shell's settings are."""
    ours = {"DATABASE_URL": backend.database.url, "DATA_DIR": str(backend.settings.data_dir)}
    if backend.settings.broker_url:
        ours["BROKER_URL"] = backend.settings.broker_url
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | {PREFIX + name: value for name, value in (ours | settings).items()}


def wait_for(backend: Backend, ids: Sequence[int]) -> list[Export]:
    """The exports once all of them have ended. Raises TimeoutError."""
    give_up = time.monotonic() + LONGEST_SECONDS
    with backend.database.session() as conn:
        while time.monotonic() < give_up:
            exports = [export_repository.get(conn, export_id) for export_id in ids[-1:]]
            if all(export.status.finished for export in exports):
                exports = [export_repository.get(conn, export_id) for export_id in ids]
                if all(export.status.finished for export in exports):
                    return exports
            time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"{len(ids)} exports have not ended within {LONGEST_SECONDS} seconds")
