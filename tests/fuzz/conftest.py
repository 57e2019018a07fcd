"""A real server for the fuzz tests, a client without limits, and a report of the number of cases."""

import dataclasses
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from contactexport import create_app
from contactexport.context import Context
from contactexport.users import manage
from tests.fuzz import fuzz_cases

PROJECT = Path(__file__).parent.parent.parent
NO_LIMITS = {"requests_per_minute": 10**9, "exports_per_user": 10**9}


@dataclass(frozen=True)
class Server:
    """A running server: its address and the token of a user."""

    host: str
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@pytest.fixture
def context(context: Context) -> Context:
    """The context without limits of requests and exports, since 429 would hide everything else."""
    return dataclasses.replace(context, settings=dataclasses.replace(context.settings, **NO_LIMITS))


@pytest.fixture(scope="session")
def server(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with a fresh database, as in production. There is no worker, so accepted exports stay scheduled."""
    name = f"{template}_fuzz"
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    data_dir = tmp_path_factory.mktemp("fuzz")
    port = _free_port()
    environment = _environment(urlsplit(server_url)._replace(path=f"/{name}").geturl(), data_dir)
    with (data_dir / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "--config",
                "config/gunicorn.py",
                "--bind",
                f"127.0.0.1:{port}",
                "wsgi:app",
            ],
            cwd=PROJECT,
            env=environment,
            stderr=log,
        )
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}/readyz", process)
        yield Server("127.0.0.1", port, _token(environment))
    finally:
        process.terminate()
        process.wait(30)
        _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if fuzz_cases.tried["cases"]:
        terminalreporter.write_line(f"fuzz: {fuzz_cases.tried['cases']} cases tried")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Lets `make fuzz` fail if it tried fewer cases than requested."""
    too_few = fuzz_cases.tried["cases"] < fuzz_cases.WANTED
    if fuzz_cases.SEARCHING and too_few and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _environment(database_url: str, data_dir: Path) -> dict[str, str]:
    ours = {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(data_dir),
        "LOG_LEVEL": "WARNING",
        **{name.upper(): str(value) for name, value in NO_LIMITS.items()},
    }
    return dict(os.environ) | {f"CONTACTEXPORT_{name}": value for name, value in ours.items()}


def _token(environment: dict[str, str]) -> str:
    with pytest.MonkeyPatch.context() as patched:
        for name in environment.keys() - os.environ.keys():
            patched.setenv(name, environment[name])
        made = create_app().extensions["contactexport"]
    token = manage.add_user(made, "fuzz", with_wsse=False, with_token=True).token
    made.database.close()
    return str(token)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "gunicorn ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _administer(server_url: str, statement: str) -> None:
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
