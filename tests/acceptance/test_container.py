"""The steps of ops/container/Containerfile, run in a virtual environment and a folder in place of an image."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.settings import PREFIX
from tests.support.served import PROJECT, free_port, wait_until

pytestmark = pytest.mark.slow

FILE = PROJECT / "ops" / "container" / "Containerfile"
KNOWN = {
    "FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD",
}  # fmt: skip
FOLDERS = ("/src", "/wheels", "/var/lib/contactexport", "/srv/contactexport")
# The dependencies are those of the environment of the tests, so no package index is asked.
OFFLINE = {
    "PIP_NO_DEPS": "1",
    "PIP_IGNORE_INSTALLED": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def instructions() -> list[tuple[str, str]]:
    """Each instruction and its arguments, in order."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found = [line.partition(" ") for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()]
    return [(word, arguments) for word, _space, arguments in found]


def values(word: str) -> list[str]:
    return [arguments for one, arguments in instructions() if one == word]


def test_image_runs_without_root_and_its_last_words_are_in_the_exec_form():
    assert {word for word, _arguments in instructions()} <= KNOWN
    assert all(int(number) > 0 for number in values("USER")[-1].split(":"))
    assert json.loads(values("CMD")[-1])[0] == "gunicorn"
    assert json.loads(values("HEALTHCHECK")[-1].partition("CMD ")[2])[0] == "python"


class Image:
    """A folder in place of the file system of an image, with a virtual environment in place of its Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "image"
        environment = self.root / "venv"
        venv.create(environment, with_pip=True)
        self.site = next(environment.glob("lib/python*/site-packages"))
        (self.site / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
        stubs = {
            "useradd": "true",
            "gunicorn": 'exec python -m gunicorn "$@"',
        }  # the machine of the test keeps its users
        for name, script in stubs.items():
            (environment / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (environment / "bin" / name).chmod(0o755)
        outside = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PYTHON"))}
        self.variables = outside | OFFLINE | {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
        for name in FOLDERS[2:]:
            Path(self.moved(name)).parent.mkdir(parents=True, exist_ok=True)

    def moved(self, text: str) -> str:
        """The paths of the image are below `root`."""
        return re.sub(rf"(?<![\w/.])({'|'.join(FOLDERS)})(?![\w-])", rf"{self.root}\1", text)

    def copy(self, arguments: str) -> None:
        *sources, target = self.moved(arguments).split()
        for source in sources:
            to = Path(target) / source if target.endswith("/") else Path(target)
            to.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (PROJECT / source).is_dir() else shutil.copy
            copy(PROJECT / source, to)

    def run(self, *command: str, **settings: str) -> str:
        done = subprocess.run(
            command,
            env=self.variables | settings,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="its steps change owners, which needs root")
def test_steps_make_a_service_whose_healthcheck_succeeds(context: Context, tmp_path: Path):
    image = Image(tmp_path)
    for word, arguments in instructions():
        if word == "COPY" and not arguments.startswith("--from"):
            image.copy(arguments)
        elif word == "RUN":
            image.run("sh", "-c", image.moved(arguments))
    assert not (image.root / "wheels").exists()
    loaded = image.run("python", "-c", "import contactexport; print(contactexport.__file__)")
    assert loaded.startswith(str(image.site)), "the program comes from the wheel"

    settings = dict(one.split("=", 1) for arguments in values("ENV") for one in shlex.split(image.moved(arguments)))
    assert settings["BIND"] == "0.0.0.0:8025"
    port = free_port()
    settings |= {
        "BIND": f"127.0.0.1:{port}",
        f"{PREFIX}DATABASE_URL": context.database.url,
        f"{PREFIX}BROKER_URL": "filesystem://",
        f"{PREFIX}SECRET_KEY": "of the test",
    }
    image.run("contactexport", "storage", "init", **settings)
    check = json.loads(values("HEALTHCHECK")[-1].partition("CMD ")[2].replace("8025", str(port)))
    server = subprocess.Popen(json.loads(values("CMD")[-1]), env=image.variables | settings, cwd=image.root)
    try:
        wait_until(lambda: is_healthy(check, image), "the container is healthy")
    finally:
        server.terminate()
        assert server.wait(timeout=60) == 0


def is_healthy(check: list[str], image: Image) -> bool:
    done = subprocess.run(check, env=image.variables, stderr=subprocess.DEVNULL, timeout=30, check=False)
    return done.returncode == 0
