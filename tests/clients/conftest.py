"""A running service with contacts, and a proxy for clients with a fixed address."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients import tls_front
from tests.support import filled_forms
from tests.support.certificates import self_signed
from tests.support.served import Served, running

HERE = Path(__file__).parent
ORIGINAL = "api.emarsys.net"  # the address in the code of the clients
INSTALLED = Path(sys.prefix) / "clients" / "bin"  # installed by `make clients`


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.clients)


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served")) as started:
        filled_forms.fill(started)
        yield started


@pytest.fixture(scope="module")
def account(served, request) -> dict[str, str]:
    """A user for each client."""
    return filled_forms.account(served, request.module.__name__)


@pytest.fixture(scope="session")
def environment(served, tmp_path_factory) -> Iterator[dict[str, str]]:
    """An environment for Python and Node in which `https://api.emarsys.net` is the service on this machine."""
    certificate = self_signed(tmp_path_factory.mktemp("tls") / "original.pem", ORIGINAL)
    with tls_front.standing_in_for(ORIGINAL, certificate, served.service.port) as port:
        proxy = f"http://127.0.0.1:{port}"
        inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        yield inherited | {
            "HTTPS_PROXY": proxy,
            "REQUESTS_CA_BUNDLE": str(certificate),
            "GLOBAL_AGENT_HTTPS_PROXY": proxy,
            "NODE_EXTRA_CA_CERTS": str(certificate),
            "NODE_OPTIONS": "--require=global-agent/bootstrap",
        }


@pytest.fixture
def run(account, environment) -> Callable[..., str]:
    """Runs a program that was installed for these tests, or a script in this folder, and returns its output."""

    def run(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [_found(program), *arguments],
            cwd=HERE,
            env=environment | {f"EMARSYS_{name.upper()}": value for name, value in account.items()},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return run


def _found(program: str) -> str:
    if program == "node":
        return shutil.which("node") or pytest.skip("node is not installed: the clients in Node are not run")
    return str(INSTALLED / program)
