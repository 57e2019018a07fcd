"""`flask serve` as a real process with its own data folder, for the acceptance tests."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests

from contactexport.db import migrate
from contactexport.embedded import postgres, sample_contacts
from contactexport.embedded.local_service import LocalService
from contactexport.users import manage
from tests.support.contexts import make_context

PROJECT = Path(__file__).parents[2]
GETCHANGES = "/api/v2/contact/getchanges"
# The request example of the specification, as a local export.
EXAMPLE = {
    "distribution_method": "local",
    "origin": "form",
    "origin_id": "123",
    "time_range": ["2012-02-09", "2012-04-02"],
    "contact_fields": ["1", "3", "106533"],
    "delimiter": ";",
    "add_field_names_header": 1,
    "language": "en",
}
# In most tests all exports belong to one user.
SHORT_WAITS = {"ENV": "testing", "FTP_TIMEOUT": "20", "RUNNING_PER_USER": "100"}


@dataclass
class Served:
    """A running service. `log` is the file with its standard error."""

    service: LocalService
    process: subprocess.Popen[str]
    log: Path
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    @property
    def data_dir(self) -> Path:
        return self.service.data_dir

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self._credentials(), timeout=30)

    def post(self, body: Any, **options: Any) -> requests.Response:
        return requests.post(self.url + GETCHANGES, json=body, headers=self._credentials(), timeout=30, **options)

    def accepted(self, **changes: Any) -> int:
        """Requests the example with changes. Returns the id of the export."""
        answer = self.post(EXAMPLE | changes)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["id"]

    def status(self, export_id: int) -> dict[str, Any]:
        return self.get(f"/api/v2/export/{export_id}").json()["data"]

    def finished(self, export_id: int) -> dict[str, Any]:
        """Returns the status of an export once it is done or in error."""
        wait_until(lambda: self.status(export_id)["status"] in {"done", "error"}, f"export {export_id} is finished")
        return self.status(export_id)

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `flask …` with the same data folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "flask", *arguments],
            cwd=PROJECT,
            env=self.service.environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def child(self, name: str) -> psutil.Process:
        """The process of that name that `flask serve` keeps running: gunicorn or celery."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if name in command_of(child))

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def running(folder: Path, contacts: int = 0, **settings: str) -> Iterator[Served]:
    """A ready service with the sample catalogue, so many sample contacts, and a user."""
    # Not below pytest's own folder: another session of pytest would deny the database's user access to it.
    data_dir = Path(tempfile.mkdtemp(prefix="contactexport-"))
    service = LocalService(data_dir, free_port(), SHORT_WAITS | settings)
    context = make_context(postgres.start(data_dir), data_dir)
    migrate.upgrade(context.database)
    sample_contacts.generate(context.database, contacts)
    token = str(manage.add_user(context, "tester", with_wsse=False, with_token=True).token)
    context.database.close()
    log = folder / "serve.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "serve", "--port", str(service.port)],
            cwd=PROJECT,
            env=service.environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready http://127.0.0.1:{service.port}\n", log.read_text()
        yield Served(service, process, log, token)
    finally:
        process.terminate()
        process.communicate(timeout=60)
        shutil.rmtree(data_dir, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command_of(process: psutil.Process) -> list[str]:
    """The command line of a process. Empty once the process has ended, which may happen at any moment."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # also for zombies
        return []


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Returns when the condition is true. Fails after so many seconds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} seconds: {what}"
        time.sleep(0.05)


def execute(database_url: str, statement: str) -> None:
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


class SilentServer:
    """Accepts connections and never sends anything, so clients wait."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._accepted: list[socket.socket] = []
        self.port = self._listening.getsockname()[1]

    def wait_for_visitor(self) -> None:
        self._listening.settimeout(30)
        self._accepted.append(self._listening.accept()[0])

    def close(self) -> None:
        for one in (*self._accepted, self._listening):
            one.close()
