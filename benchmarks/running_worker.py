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
    ended: list[Export] = []
    with backend.database.session() as conn:
        for export_id in ids:
            while not (export := export_repository.get(conn, export_id)).status.finished:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"export {export_id} has not ended within {LONGEST_SECONDS} seconds")
                time.sleep(LOOK_SECONDS)
            ended.append(export)
    return ended
