"""An installed wheel runs the service in an empty folder, without the repository."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from contactexport.settings import PREFIX
from tests.support.served import EXAMPLE, GETCHANGES, PROJECT, free_port, wait_until

pytestmark = pytest.mark.slow

SOURCES = ("setup.cfg", "setup.py", "README.md", "LICENSE", "contactexport")


@dataclass
class Installation:
    """A virtual environment with the wheel, and an empty working folder."""

    environment: Path
    folder: Path

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs `contactexport …`."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.folder, env=self.variables(**settings), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    @property
    def program(self) -> str:
        return str(self.environment / "bin" / "contactexport")

    def variables(self, **settings: str) -> dict[str, str]:
        """The variables of the shell, except those that lead to the repository."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PYTHON", "COV"))}
        return outside | {PREFIX + name: value for name, value in settings.items()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uses the dependencies of the running environment, so it needs no package index."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in SOURCES:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(PROJECT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, timeout=120)
    shutil.rmtree(source)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60)
    (wheel,) = folder.glob("contactexport-*.whl")
    interpreter = environment / "bin" / "python"
    install = [*pip, "--python", str(interpreter), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment


@pytest.fixture
def installed(environment: Path) -> Iterator[Installation]:
    # Not below pytest's own folder: another session of pytest would deny the database's user access to it.
    folder = Path(tempfile.mkdtemp(prefix="contactexport-"))
    yield Installation(environment, folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def served(installed: Installation) -> Iterator[tuple[Installation, str]]:
    """The URL of a running `contactexport serve` with sample contacts."""
    for arguments in (("db", "upgrade"), ("contacts", "sample", "--contacts", "200")):
        done = installed.command(*arguments)
        assert done.returncode == 0, done.stderr
    port = free_port()
    with (installed.folder / "log").open("w") as log:
        process = subprocess.Popen(
            [installed.program, "serve", "--port", str(port)],
            cwd=installed.folder, env=installed.variables(), stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n", (installed.folder / "log").read_text()
        yield installed, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_wheel_has_every_file_of_the_package_and_is_imported(installed: Installation):
    done = subprocess.run(
        [str(installed.environment / "bin" / "python"), "-c", "import contactexport; print(contactexport.__file__)"],
        cwd=installed.folder, env=installed.variables(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = Path(done.stdout.strip()).parent
    assert imported.is_relative_to(installed.environment)
    assert _files(imported) == _files(PROJECT / "contactexport")


def test_service_of_the_wheel_exports_and_limits_requests(served: tuple[Installation, str]):
    installed, url = served
    token = json.loads(installed.command("users", "add", "tester", "--token", "--json").stdout)["token"]
    credentials = {"Authorization": f"Bearer {token}"}

    accepted = requests.post(url + GETCHANGES, json=EXAMPLE, headers=credentials, timeout=30)
    assert accepted.status_code == 200, accepted.text
    address = f"{url}/api/v2/export/{accepted.json()['data']['id']}"

    def status() -> dict[str, object]:
        return requests.get(address, headers=credentials, timeout=30).json()["data"]

    wait_until(lambda: status()["status"] in {"done", "error"}, "the export is finished")
    assert (status()["status"], status()["error"]) == ("done", None)
    file = installed.folder / "var" / "exports" / str(status()["file_name"])
    assert len(file.read_bytes().splitlines()) > 1

    padded = json.dumps(EXAMPLE).ljust(64 * 1024)
    for body, expected in ((padded, 200), (padded + " ", 413)):
        answer = requests.post(url + GETCHANGES, data=body, headers=credentials, timeout=30)
        assert answer.status_code == expected, answer.text
        assert "Server" not in answer.headers


def test_production_names_the_missing_settings_in_one_line(installed: Installation):
    done = installed.command("serve", ENV="production", STORAGE="/srv/exports")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "contactexport: CONTACTEXPORT_DATABASE_URL, CONTACTEXPORT_BROKER_URL, CONTACTEXPORT_SECRET_KEY are not set: "
        "this environment needs them\n"
    )


def test_files_in_config_override_the_environment(installed: Installation):
    config = installed.folder / "config"
    config.mkdir()
    (config / "production.py").write_text('REQUIRED_SETTINGS = ("LANGUAGE", "SECRET_KEY")')
    done = installed.command("serve", ENV="production")
    assert done.stderr == "contactexport: CONTACTEXPORT_SECRET_KEY is not set: this environment needs it\n"


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
