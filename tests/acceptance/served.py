"""`flask serve` as a real process with a data folder of its own, for the acceptance tests."""

import json
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

from contactexport.embedded.local_service import PROJECT, LocalService

GETCHANGES = "/api/v2/contact/getchanges"
# The request example of the specification, kept locally.
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
# All exports of most tests are one user's.
SHORT_WAITS = {"ENV": "testing", "FTP_TIMEOUT": "20", "RUNNING_PER_USER": "100"}


@dataclass
class Served:
    """A running service; `log` is what it writes to standard error."""

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
        """The id of an export asked for, the example with changes."""
        answer = self.post(EXAMPLE | changes)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["id"]

    def status(self, export_id: int) -> dict[str, Any]:
        return self.get(f"/api/v2/export/{export_id}").json()["data"]

    def finished(self, export_id: int) -> dict[str, Any]:
        """The status of an export once it is done or in error."""
        wait_until(lambda: self.status(export_id)["status"] in {"done", "error"}, f"export {export_id} is finished")
        return self.status(export_id)

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """`flask …` started in the same data folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "flask", *arguments],
            cwd=PROJECT,
            env=self.service.environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def child(self, name: str) -> psutil.Process:
        """The process that `flask serve` keeps running: gunicorn or celery."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if name in command_of(child))

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def running(folder: Path, contacts: int = 0, **settings: str) -> Iterator[Served]:
    """A migrated service with the sample catalogue and so many sample contacts, ready and with a user."""
    # Not below pytest's own folder: another session of pytest would take the database's user's right to enter it.
    data_dir = Path(tempfile.mkdtemp(prefix="contactexport-"))
    service = LocalService(data_dir, free_port(), SHORT_WAITS | settings)
    service.flask("db", "upgrade")
    service.flask("contacts", "sample", "--contacts", str(contacts))
    token = json.loads(service.flask("users", "add", "tester", "--token", "--json"))["token"]
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
    """Empty once it has ended, which it may do at any moment."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # zombies included
        return []


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Returns when the condition holds; fails after so many seconds."""
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
    """Accepts connections and never says a word: whoever talks to it keeps waiting."""

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
