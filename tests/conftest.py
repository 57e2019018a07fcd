"""Real parts for the tests: a Postgres (the wheel's, or TEST_DATABASE_URL), a fresh database for each test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from backends import database_url, make_backend
from flask import Flask
from hypothesis import settings
from psycopg2 import sql

import contactexport
from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue
from contactexport.services import manage_users
from contactexport.settings import PREFIX

# How long an example takes says nothing about whether it is right.
settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")

TEMPLATE = "contactexport_template"
numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Settings of the developer's shell must not change what is tested."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of a database on a Postgres server in which databases may be made."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    # Not below pytest's own folder: another session of pytest would take the server's right to enter it.
    data_dir = Path(tempfile.mkdtemp(prefix="contactexport-"))
    url = postgres.start(data_dir)
    _administer(url, sql.SQL("ALTER SYSTEM SET fsync = off"))  # nothing here has to survive a power cut
    _administer(url, sql.SQL("SELECT pg_reload_conf()"))
    yield url
    postgres.stop(data_dir)
    shutil.rmtree(data_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a migrated database with the sample catalogue and no contacts, to be copied."""
    name = f"{TEMPLATE}_{os.getpid()}"
    _administer(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    backend = make_backend(database_url(server_url, name), tmp_path_factory.mktemp("template"))
    migrate.upgrade(backend.database)
    sample_catalogue.load(backend.database)
    backend.database.close()
    yield name
    _administer(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_name(server_url: str, template: str) -> Iterator[str]:
    """A database of the test's own."""
    name = f"contactexport_test_{os.getpid()}_{next(numbers)}"
    _administer(
        server_url,
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)),
    )
    yield name
    _administer(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def backend(server_url: str, database_name: str, tmp_path: Path) -> Iterator[Backend]:
    """The parts the services work with, around a fresh database and a fresh data folder."""
    made = make_backend(database_url(server_url, database_name), tmp_path / "data")
    yield made
    made.database.close()


@pytest.fixture
def app(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The Flask application around `backend` (pytest-flask makes `client` from it)."""
    monkeypatch.setenv("CONTACTEXPORT_ENV", "testing")
    monkeypatch.setenv("CONTACTEXPORT_DATABASE_URL", backend.database.url)
    monkeypatch.setenv("CONTACTEXPORT_DATA_DIR", str(backend.settings.data_dir))
    made = contactexport.create_app()
    made.extensions["contactexport"] = backend
    return made


@pytest.fixture
def api(app: Flask, backend: Backend):
    """A client of the API with credentials; `client` is one without."""
    token = manage_users.add_user(backend, "tester", with_wsse=False, with_token=True).token
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def runner(app: Flask):
    """Runs `flask` commands in this process."""
    return app.test_cli_runner()


def _administer(server_url: str, statement: sql.Composable) -> None:
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
