"""Runs the commands and the service of this program as a user would, and calls the service over HTTP."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contactexport.errors import ContactExportError
from contactexport.settings import PREFIX

PROJECT = Path(__file__).parent.parent.parent


class CommandFailed(ContactExportError):
    """A command ended with an error. It printed the error to stderr itself, unless a signal ended it."""

    def __init__(self, command: str, status: int) -> None:
        super().__init__(f"`{command}` ended with {status}")
        self.exit_code = status


@dataclass(frozen=True)
class LocalService:
    """The service on one data folder with everything embedded. It ignores the settings of the shell.

    `settings` adds some, by their names without the prefix.
    """

    data_dir: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def flask(self, *arguments: str) -> str:
        """Runs `flask …` to its end and returns what it prints. Raises CommandFailed."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"flask {' '.join(arguments)}", done.returncode)
        return done.stdout

    @contextmanager
    def serving(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Runs `flask serve`. It is ready when the block starts and stopped when it ends. Raises CommandFailed."""
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "serve", "--port", str(self.port), *options],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            if not any(line.startswith("ready ") for line in process.stdout or ()):
                raise CommandFailed("flask serve", process.wait())
            yield process
        finally:
            process.terminate()
            process.communicate()

    @contextmanager
    def serving_with_link(self) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """Runs `flask serve` as `serving` does. Also yields a link that signs in to the console once."""
        with self.serving("--console-link") as process:
            yield process, process.stdout.readline().split()[1] if process.stdout else ""

    def call(self, method: str, path: str, token: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Returns HTTP status and envelope of one request."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def environment(self) -> dict[str, str]:
        """Returns the environment in which every command of this service runs."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return outside | {
            f"{PREFIX}DATA_DIR": str(self.data_dir.absolute()),
            f"{PREFIX}ALLOWED_HOSTS": "127.0.0.1",
            **{PREFIX + name: value for name, value in self.settings.items()},
            "FLASK_APP": "contactexport",
        }
