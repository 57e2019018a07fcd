"""The files of ops/ name only settings, modules and paths that exist, and are what their programs accept."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from contactexport.settings import ENVIRONMENTS, FILE_SUFFIX, PREFIX, SECRET_ENDINGS, setting_names

OPS = Path(__file__).parents[2] / "ops"
FILES = sorted(path for path in OPS.rglob("*") if path.is_file())
VARIABLE = re.compile(rf"{PREFIX}([A-Z_]+)")
MODULE = re.compile(r"contactexport\.[a-z_.]+[a-z_]")
UNITS = sorted(OPS.glob("systemd/*.service"))
MANIFESTS = sorted(OPS.glob("kubernetes/*.yaml"))


def text(name: str) -> str:
    return (OPS / name).read_text(encoding="utf-8")


def test_every_variable_in_ops_is_a_setting():
    files = {name + FILE_SUFFIX for name in setting_names() if name.endswith(SECRET_ENDINGS)}
    known = {*setting_names(), *files, "ENV"}
    named = {(path.name, name) for path in FILES for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    assert named
    assert {(file, name) for file, name in named if name not in known} == set()


@pytest.mark.parametrize("file", ["contactexport.env.example", "kubernetes/settings.yaml"])
def test_settings_that_production_needs_are_set(file: str):
    needed = ENVIRONMENTS["production"]["REQUIRED_SETTINGS"]
    set_there = re.findall(rf"^ *{PREFIX}([A-Z_]+)[=:]", text(file), re.MULTILINE)
    assert {name.removesuffix(FILE_SUFFIX) for name in set_there} >= {*needed, "ENV"}


def test_every_module_in_ops_exists():
    named = {
        name
        for path in FILES
        if path.suffix in {".service", ".yaml", ""}
        for name in MODULE.findall(path.read_text(encoding="utf-8"))
        if name.startswith("contactexport.serving")
    }
    assert named == {"contactexport.serving.gunicorn_conf", "contactexport.serving.celery_app"}
    assert all(importlib.util.find_spec(name) for name in named)


def test_readme_of_ops_names_every_file():
    files = {str(path.relative_to(OPS)) for path in FILES if path.name != "README.md"}
    assert {name for name in files if name not in text("README.md")} == set()


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_accepts_every_object(manifest: Path):
    for found in yaml.safe_load_all(manifest.read_text(encoding="utf-8")):
        kubernetes_validate.validate(found, "1.33", strict=True)


def test_probes_ask_paths_that_exist():
    paths = set(re.findall(r"httpGet: \{path: (/\w+)", text("kubernetes/server.yaml")))
    assert paths == {"/healthz", "/readyz"}
    assert "uri /readyz" in text("proxy/haproxy.cfg")
    assert "/readyz'" in text("container/Containerfile")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze (Debian: systemd)")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_the_unit_and_finds_little_exposure(unit: Path, tmp_path: Path):
    here = tmp_path / unit.name
    programs = str(Path(sys.executable).parent)
    here.write_text(unit.read_text(encoding="utf-8").replace("/opt/contactexport/bin", programs), encoding="utf-8")
    verified = analyze("verify", "--man=no", str(here))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    # In tenths: 2.0 of 10. A unit without any protection has 9.6.
    exposed = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(here))
    assert exposed.returncode == 0, exposed.stdout[-300:] + exposed.stderr


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(shutil.which("systemd-analyze")), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_accepts_the_file():
    command = [str(shutil.which("docker-compose")), "--file", str(OPS / "container" / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"postgres", "rabbitmq", "migrate", "server", "exports", "deliveries"}
