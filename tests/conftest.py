"""Real parts for the tests: a Postgres (from the wheel, or TEST_DATABASE_URL), and a fresh database for each test."""

import dataclasses
import itertools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from flask import Flask
from hypothesis import settings
from psycopg2 import sql

import contactexport
from contactexport import setting_values
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_catalogue
from contactexport.settings import PREFIX
from contactexport.users import manage
from tests.support import object_stores
from tests.support.contexts import database_url, make_context

# The duration of an example says nothing about its correctness.
settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")

TEMPLATE = "contactexport_template"
MEMORY_BYTES = 4 * 2**30
numbers = itertools.count(1)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Deletes the coverage of processes that were killed while they wrote it. Combining it would end the whole run."""
    result = yield
    if not hasattr(session.config, "workerinput"):
        for path in session.config.rootpath.glob(".coverage.*"):
            try:
                with closing(sqlite3.connect(path)) as data:
                    damaged = data.execute("PRAGMA quick_check").fetchall() != [("ok",)]
            except sqlite3.DatabaseError:
                damaged = True
            if damaged:
                path.unlink(missing_ok=True)
    return result


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Settings of the developer's shell must not change what is tested."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of a database on a Postgres server where databases may be created."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    # Not below pytest's own folder: another session of pytest would deny the server access to it.
    data_dir = Path(tempfile.mkdtemp(prefix="contactexport-", dir=_memory()))
    url = postgres.start(data_dir)
    _administer(url, sql.SQL("ALTER SYSTEM SET fsync = off"))  # no test data has to survive a power failure
    _administer(url, sql.SQL("SELECT pg_reload_conf()"))
    yield url
    postgres.stop(data_dir)
    shutil.rmtree(data_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a migrated database with the sample catalogue and no contacts, to be copied."""
    name = f"{TEMPLATE}_{os.getpid()}"
    _administer(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    context = make_context(database_url(server_url, name), tmp_path_factory.mktemp("template"))
    migrate.upgrade(context.database)
    sample_catalogue.load(context.database)
    context.database.close()
    yield name
    _administer(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_name(server_url: str, template: str) -> Iterator[str]:
    """A database of the test's own."""
    name = f"contactexport_test_{os.getpid()}_{next(numbers)}"
    copy_database(server_url, template, name)
    yield name
    _administer(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def context(server_url: str, database_name: str, tmp_path: Path) -> Iterator[Context]:
    """The context of the program, with a fresh database and a fresh data folder."""
    made = make_context(database_url(server_url, database_name), tmp_path / "data")
    yield made
    made.database.close()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[object_stores.Store]:
    """A running SeaweedFS."""
    with object_stores.seaweedfs() as store:
        yield store


@pytest.fixture(scope="session")
def azurite() -> Iterator[object_stores.Store]:
    """A running Azurite."""
    with object_stores.azurite() as store:
        yield store


@pytest.fixture
def in_s3(context: Context, seaweedfs: object_stores.Store, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The context of the program, with its files in a new bucket."""
    for name, value in seaweedfs.environment.items():
        monkeypatch.setenv(name, value)
    storage = setting_values.storage(seaweedfs.new_url())
    return contactexport.make_context(dataclasses.replace(context.settings, storage=storage))


@pytest.fixture
def app(context: Context, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The Flask application around `context` (pytest-flask makes `client` from it)."""
    monkeypatch.setenv("CONTACTEXPORT_ENV", "testing")
    monkeypatch.setenv("CONTACTEXPORT_DATABASE_URL", context.database.url)
    monkeypatch.setenv("CONTACTEXPORT_DATA_DIR", str(context.settings.data_dir))
    made = contactexport.create_app()
    made.extensions["contactexport"] = context
    return made


@pytest.fixture
def api(app: Flask, context: Context):
    """A client of the API with credentials. `client` is one without."""
    token = manage.add_user(context, "tester", with_wsse=False, with_token=True).token
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def runner(app: Flask):
    """Runs `flask` commands in this process."""
    return app.test_cli_runner()


def _memory() -> str | None:
    """A folder in memory with free space, or None. There a test database is created in half the time."""
    folder = "/dev/shm"
    roomy = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > MEMORY_BYTES
    return folder if roomy else None


def copy_database(server_url: str, template: str, name: str) -> None:
    """Creates a copy of a database by copying its files. Through the write-ahead log it takes seven times as long."""
    statement = "CREATE DATABASE {} TEMPLATE {}"
    with _connected(server_url) as connection, connection.cursor() as cursor:
        if connection.server_version >= 150_000:  # older ones always copy files
            statement += " STRATEGY FILE_COPY"
        cursor.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))


def _administer(server_url: str, statement: sql.Composable) -> None:
    with _connected(server_url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def _connected(server_url: str) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()
