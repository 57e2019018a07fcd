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

from contactexport.cli.current import current_context
from contactexport.cli.errors import Command
from contactexport.cli.supervisor import STOP_SECONDS, Supervisor
from contactexport.console.first_link import operator_link
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, serve_lock
from contactexport.errors import ContactExportError, DatabaseUnavailable, UsageError
from contactexport.files import storage_check
from contactexport.queue.publisher import DELIVERIES_QUEUE, EXPORTS_QUEUE, SHORT_QUEUE, SWEEPS_QUEUE
from contactexport.secrets.encrypt_urls import encrypt_urls
from contactexport.settings import PREFIX

READY_SECONDS = 30.0
QUICK_QUEUES = (SHORT_QUEUE, SWEEPS_QUEUE)  # for any worker that has a free process
DRAIN_SECONDS = "1"  # on one machine there is no other server to move to

logger = logging.getLogger(__name__)


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8025, show_default=True, help="Port to listen on.")
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Exports at a time.")
@click.option("--deliveries", type=click.IntRange(1), default=4, show_default=True, help="Uploads by FTP at a time.")
@click.option(
    "--console-link/--no-console-link",
    default=None,
    help="Print a link that signs in to the console once, as the user `operator`.  [default: in a terminal, if "
    "Postgres is the embedded one]",
)
def serve(host: str, port: int, concurrency: int, deliveries: int, console_link: bool | None) -> None:
    """Run the whole service on this machine until Ctrl-C.

    Starts Postgres if none is configured, upgrades the schema, and starts gunicorn, a worker for exports and one for
    deliveries. Any of them that dies is restarted. Prints `ready http://HOST:PORT` when the service answers, and then
    `console` with the link, if there is to be one.

    \b
    Example:
      flask serve --port 8025
    """
    context = current_context()
    serve_lock.require_free_port(host, port)
    with _embedded_postgres(context) if context.settings.database_url is None else nullcontext():
        for database in context.databases:
            migrate.upgrade(database)
        storage_check.require_storage(context)
        encrypt_urls(context)
        # The children must find the same database and folders.
        same_places = {
            f"{PREFIX}DATABASE_URL": context.database.url,
            f"{PREFIX}DATA_DIR": str(context.settings.data_dir),
        }
        environment = {"DRAIN_SECONDS": DRAIN_SECONDS} | dict(os.environ) | same_places
        supervisor = Supervisor(environment, context.settings.stop_wait + STOP_SECONDS)
        supervisor.listen_for_stop_signals()
        try:
            supervisor.start("gunicorn", _gunicorn(host, port))
            supervisor.start("worker", _worker(concurrency, [EXPORTS_QUEUE, *QUICK_QUEUES]))
            supervisor.start("deliveries", _worker(deliveries, [DELIVERIES_QUEUE, *QUICK_QUEUES]))
            if _wait_until_ready(supervisor, host, port):
                click.echo(f"ready http://{host}:{port}")
                if console_link if console_link is not None else _is_tried_out(context):
                    _print_console_link(context, f"http://{host}:{port}")
                supervisor.watch(partial(_revive_postgres, context))
        finally:
            supervisor.stop()


def _is_tried_out(context: Context) -> bool:
    """True in a terminal with the embedded Postgres. A link that goes to a log would be read by others."""
    return context.settings.database_url is None and sys.stdout.isatty()


def _print_console_link(context: Context, url: str) -> None:
    try:
        click.echo(f"console {url}{operator_link(context)}")
    except UsageError as error:  # the service runs all the same
        click.echo(f"console {url}/console/  {error.text}")


@contextmanager
def _embedded_postgres(context: Context) -> Iterator[None]:
    """Stops Postgres at the end. So no other process may use this data folder meanwhile."""
    with serve_lock.held(context.settings.data_dir):
        try:
            yield
        finally:
            context.database.close()
            postgres.stop(context.settings.data_dir)


def _revive_postgres(context: Context) -> None:
    """Restarts Postgres if it has died. After `flask db stop` it stays stopped."""
    if context.settings.database_url is None and postgres.has_died(context.settings.data_dir):
        logger.error("Postgres has died and is restarted")
        try:
            postgres.start(context.settings.data_dir)
        except DatabaseUnavailable as error:
            logger.warning("%s", error.text)


def _gunicorn(host: str, port: int) -> list[str]:
    override = Path("config", "gunicorn.py")
    config = str(override) if override.exists() else "python:contactexport.serving.gunicorn_conf"
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return [sys.executable, "-m", "gunicorn", "--config", config, "--bind", address, "contactexport:create_app()"]


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
    return [sys.executable, "-m", "celery", "--quiet", "--app", "contactexport.serving.celery_app", "worker", *options]


def _wait_until_ready(supervisor: Supervisor, host: str, port: int) -> bool:
    """True when the service answers. False when told to stop first. Raises ContactExportError after 30 seconds."""
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
