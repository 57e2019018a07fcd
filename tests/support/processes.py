"""Real workers and servers with the database and the data folder of a test, to be killed and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from contactexport.context import Context
from contactexport.embedded.local_service import LocalService
from contactexport.setting_values import ObjectStoreUrl
from contactexport.users import manage
from tests.support.served import GETCHANGES, PROJECT, SHORT_WAITS, free_port, wait_until


@dataclass
class Process:
    """A worker or a server. `log` is the file with its standard error."""

    started: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.started.pid

    def children(self) -> list[psutil.Process]:
        """The processes of a worker's pool, or the worker processes of a server, oldest first."""
        return sorted(psutil.Process(self.pid).children(), key=lambda child: child.pid)

    def stopped(self) -> list[psutil.Process]:
        """The children that are stopped by SIGSTOP."""
        return [child for child in self.children() if child.status() == psutil.STATUS_STOPPED]

    def signal(self, number: signal.Signals) -> None:
        self.started.send_signal(number)

    def kill(self) -> None:
        """kill -9. Waits until the process is gone."""
        self.started.kill()
        self.started.wait(timeout=30)

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM. Returns the exit code."""
        self.started.terminate()
        return self.started.wait(timeout=seconds)

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def deaths(self) -> int:
        """How many processes of its pool the worker has noticed to die by kill -9."""
        return self.log.read_text().count("exited with 'signal 9 (SIGKILL)'")


@contextmanager
def worker(context: Context, *, concurrency: int = 1, **settings: str) -> Iterator[Process]:
    """A Celery worker that is ready for messages. `settings` have their names without the prefix."""
    with _process(context, "worker", worker_command(concurrency), settings) as process:
        wait_until(lambda: _has_pool(process, concurrency), "the pool has its processes")
        yield process


def _has_pool(process: Process, concurrency: int) -> bool:
    """True once it has that many lasting processes. The first one only checks the database and ends at once."""
    found = process.children()
    time.sleep(0.25)
    return len(found) >= concurrency and process.children() == found


def worker_command(concurrency: int) -> list[str]:
    command = ["celery", "--quiet", "--app", "celery_worker", "worker", "--loglevel", "WARNING"]
    return [*command, "--concurrency", str(concurrency), "--without-gossip", "--without-mingle"]


@dataclass
class Server(Process):
    """gunicorn, and a user of the API."""

    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self._credentials(), timeout=30)

    def post(self, body: object, **options: object) -> requests.Response:
        return requests.post(self.url + GETCHANGES, json=body, headers=self._credentials(), timeout=30, **options)

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def server(
    context: Context, *, drain_seconds: str = "0", threads: int = 200, workers: int = 2, **settings: str
) -> Iterator[Server]:
    """A gunicorn that answers. `settings` have their names without the prefix."""
    port = free_port()
    token = manage.add_user(context, f"tester{port}", with_wsse=False, with_token=True).token
    command = server_command(port, threads)
    environment = {"DRAIN_SECONDS": drain_seconds, "WEB_CONCURRENCY": str(workers)}
    with _process(context, f"server-{port}", command, settings, **environment) as process:
        started = Server(process.started, process.log, port, token)
        wait_until(lambda: answers(started), "the server answers")
        yield started


def server_command(port: int, threads: int = 200) -> list[str]:
    command = ["gunicorn", "--config", "config/gunicorn.py", "--bind", f"127.0.0.1:{port}"]
    return [*command, "--threads", str(threads), "wsgi:app"]


def answers(server: Server) -> bool:
    try:
        return server.get("/healthz").status_code == 200
    except OSError:
        return False


@contextmanager
def _process(
    context: Context, name: str, command: Sequence[str], settings: dict[str, str], **environment: str
) -> Iterator[Process]:
    """Kills the process at the end, with the rest of its session."""
    process = start(context, name, command, settings, **environment)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # the pool may live longer than its worker
            os.killpg(process.pid, signal.SIGKILL)
        process.started.wait(timeout=30)


def start(context: Context, name: str, command: Sequence[str], settings: dict[str, str], **environment: str) -> Process:
    """Starts `python -m command` in a new session, with the database, the broker and the data folder of the context."""
    log = context.settings.data_dir.parent / f"{name}-{os.urandom(3).hex()}.log"
    found = {"DATABASE_URL": context.database.url}
    if isinstance(context.settings.storage, ObjectStoreUrl):
        found["STORAGE"] = context.settings.storage
    if context.settings.broker_url:
        found["BROKER_URL"] = context.settings.broker_url
    service = LocalService(context.settings.data_dir, 0, SHORT_WAITS | found | settings)
    with log.open("wb") as errors:
        started = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=service.environment() | environment,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    return Process(started, log)
