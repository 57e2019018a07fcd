"""A real worker, started like by `flask serve`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import contacts

from contactexport.context import Context
from contactexport.exports import store as export_store
from contactexport.exports.models import Export
from contactexport.setting_values import ObjectStoreUrl
from contactexport.settings import PREFIX

LONGEST_SECONDS = 300
LOOK_SECONDS = 0.02


@contextmanager
def worker(context: Context, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
    """A worker for so many exports at a time. Its log goes to a file in the data folder."""
    options = ["--concurrency", str(concurrency), "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    context.settings.data_dir.mkdir(exist_ok=True)
    with (context.settings.data_dir / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "--app", "celery_worker", "worker", *options],
            cwd=contacts.PROJECT,
            env=environment(context),
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def environment(context: Context, **settings: str) -> dict[str, str]:
    """The environment of a process with the database and folders of the context, whatever the shell's settings are."""
    ours = {"DATABASE_URL": context.database.url, "DATA_DIR": str(context.settings.data_dir)}
    if isinstance(context.settings.storage, ObjectStoreUrl):
        ours["STORAGE"] = context.settings.storage
    if context.settings.broker_url:
        ours["BROKER_URL"] = context.settings.broker_url
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | {PREFIX + name: value for name, value in (ours | settings).items()}


def wait_for(context: Context, ids: Sequence[int]) -> list[Export]:
    """Returns the exports once all of them have ended. Raises TimeoutError."""
    give_up = time.monotonic() + LONGEST_SECONDS
    ended: list[Export] = []
    with context.database.session() as conn:
        for export_id in ids:
            while not (export := export_store.get(conn, export_id)).status.finished:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"export {export_id} has not ended within {LONGEST_SECONDS} seconds")
                time.sleep(LOOK_SECONDS)
            ended.append(export)
    return ended
