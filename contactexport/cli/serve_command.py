"""`flask serve`: the whole service on one machine."""

import logging
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import click

from contactexport.backend import Backend
from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import Command
from contactexport.cli.supervisor import STOP_SECONDS, Supervisor
from contactexport.embedded import postgres, serve_lock
from contactexport.errors import ContactExportError, DatabaseUnavailable
from contactexport.export_queue import DELIVERIES_QUEUE, EXPORTS_QUEUE, SHORT_QUEUE, SWEEPS_QUEUE
from contactexport.services import check_storage
from contactexport.services.encrypt_urls import encrypt_urls
from contactexport.settings import PREFIX

PROJECT = Path(__file__).parent.parent.parent
READY_SECONDS = 30.0
QUICK_QUEUES = (SHORT_QUEUE, SWEEPS_QUEUE)  # for whichever worker has a process free
DRAIN_SECONDS = "1"  # a single machine has no other server to go to

logger = logging.getLogger(__name__)


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8025, show_default=True, help="Port to listen on.")
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Exports at a time.")
@click.option("--deliveries", type=click.IntRange(1), default=4, show_default=True, help="Uploads by FTP at a time.")
def serve(host: str, port: int, concurrency: int, deliveries: int) -> None:
    """Run the whole service on this machine until Ctrl-C.

    Starts Postgres if none is configured, brings the schema up to date, then gunicorn, a worker for exports and one for
    deliveries; all of them are started again should they die. Prints `ready http://HOST:PORT` when it answers.

    \b
    Example:
      flask serve --port 8025
    """
    backend = current_backend()
    serve_lock.require_free_port(host, port)
    with _embedded_postgres(backend) if backend.settings.database_url is None else nullcontext():
        _upgrade(backend)
        _serve(backend, host, port, concurrency, deliveries)


@contextmanager
def _embedded_postgres(backend: Backend) -> Iterator[None]:
    """Stops it at the end; so nobody else may work in this data folder meanwhile."""
    with serve_lock.held(backend.settings.data_dir):
        try:
            yield
        finally:
            backend.database.close()
            postgres.stop(backend.settings.data_dir)


def _upgrade(backend: Backend) -> None:
    from contactexport.db import migrate  # Alembic takes a while to import, and only this command needs it

    for database in backend.databases:
        migrate.upgrade(database)
    check_storage.require_storage(backend)
    encrypt_urls(backend)


def _serve(backend: Backend, host: str, port: int, concurrency: int, deliveries: int) -> None:
    supervisor = Supervisor(PROJECT, _environment(backend), backend.settings.stop_wait + STOP_SECONDS)
    supervisor.listen_for_stop_signals()
    try:
        supervisor.start("gunicorn", _gunicorn(host, port))
        supervisor.start("worker", _worker(concurrency, [EXPORTS_QUEUE, *QUICK_QUEUES]))
        supervisor.start("deliveries", _worker(deliveries, [DELIVERIES_QUEUE, *QUICK_QUEUES]))
        if _wait_until_ready(supervisor, host, port):
            click.echo(f"ready http://{host}:{port}")
            supervisor.watch(partial(_revive_postgres, backend))
    finally:
        supervisor.stop()


def _environment(backend: Backend) -> dict[str, str]:
    """What the children need to find the same database and folders as we do."""
    ours = {
        f"{PREFIX}DATABASE_URL": backend.database.url,
        f"{PREFIX}DATA_DIR": str(backend.settings.data_dir),
    }
    return {"DRAIN_SECONDS": DRAIN_SECONDS} | dict(os.environ) | ours


def _revive_postgres(backend: Backend) -> None:
    """One that was stopped on purpose, by `flask db stop`, stays so."""
    if backend.settings.database_url is None and postgres.has_died(backend.settings.data_dir):
        logger.error("Postgres has died and is started again")
        try:
            postgres.start(backend.settings.data_dir)
        except DatabaseUnavailable as error:
            logger.warning("%s", error.text)


def _gunicorn(host: str, port: int) -> list[str]:
    config = PROJECT / "config" / "gunicorn.py"
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return [sys.executable, "-m", "gunicorn", "--config", str(config), "--bind", address, "wsgi:app"]


def _worker(concurrency: int, queues: Sequence[str]) -> list[str]:
    options = [
        "--queues",
        ",".join(queues),
        "--concurrency",
        str(concurrency),
        "--loglevel",
        "WARNING",
        "--without-gossip",
        "--without-mingle",
    ]
    return [sys.executable, "-m", "celery", "--quiet", "--app", "celery_worker", "worker", *options]


def _wait_until_ready(supervisor: Supervisor, host: str, port: int) -> bool:
    """True when the service answers, False when told to stop before. Raises ContactExportError after 30 seconds."""
    url = f"http://{'[' + host + ']' if ':' in host else host}:{port}/readyz"
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        if supervisor.stopping.wait(0.1):
            return False
        supervisor.revive()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            continue
    raise ContactExportError(f"The service does not answer at {url}")
