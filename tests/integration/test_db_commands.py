"""`flask db`, and what every command says while the database is missing, empty or refuses."""

import psycopg2
import pytest
from backends import database_url
from psycopg2 import sql

from contactexport import make_backend
from contactexport.settings import load_settings


def backend_for(url: str, data_dir):
    return make_backend(load_settings({}, {"CONTACTEXPORT_DATABASE_URL": url, "CONTACTEXPORT_DATA_DIR": str(data_dir)}))


@pytest.fixture
def administer(server_url):
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    yield lambda statement: connection.cursor().execute(statement)
    connection.close()


@pytest.fixture
def empty_database(app, server_url, administer, tmp_path):
    administer(sql.SQL("CREATE DATABASE contactexport_empty"))
    url = database_url(server_url, "contactexport_empty")
    app.extensions["contactexport"] = made = backend_for(url, tmp_path / "data")
    yield url
    made.database.close()
    administer(sql.SQL("DROP DATABASE contactexport_empty WITH (FORCE)"))


def test_upgrade_tells_the_version_before_and_after(runner, empty_database):
    assert runner.invoke(args=["db", "upgrade"]).output.endswith(" (was empty)\n")
    assert runner.invoke(args=["db", "upgrade"]).output.endswith(" (unchanged)\n")


def test_upgrade_warns_of_a_schema_in_which_every_role_may_create_functions(runner, backend):
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert runner.invoke(args=["db", "upgrade"]).stderr == ""
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    warned = runner.invoke(args=["db", "upgrade"])
    assert warned.exit_code == 0
    assert warned.stderr.startswith("Warning: every role may create functions in the schema public")
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in warned.stderr


def test_url_is_the_connection_in_use(runner, backend):
    assert runner.invoke(args=["db", "url"]).output == f"{backend.database.url}\n"


def test_stop_refuses_a_server_that_is_not_ours(runner):
    ended = runner.invoke(args=["db", "stop"])
    assert ended.exit_code == 2
    assert "not ours to stop" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["export", "list"], ["export", "show", "1"], ["users", "list"], ["secrets", "rotate"], ["export", "cancel", "1"]],
)
def test_empty_database_is_told_with_the_command_that_helps(runner, empty_database, arguments):
    ended = runner.invoke(args=arguments)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: The database lacks a table")
    assert "`flask db upgrade`" in ended.stderr


@pytest.mark.parametrize("arguments", [["export", "list"], ["db", "upgrade"], ["users", "add", "anna"]])
def test_database_that_does_not_answer_is_told_in_one_line(app, runner, tmp_path, arguments):
    app.extensions["contactexport"] = backend_for("postgresql://anna:geheim@127.0.0.1:1/none", tmp_path)
    ended = runner.invoke(args=arguments)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: The database does not answer")
    assert "geheim" not in ended.stderr


def test_url_that_cannot_be_read_is_told_without_its_password(app, runner, tmp_path):
    app.extensions["contactexport"] = backend_for("postgresql://anna@127.0.0.1/none?geheim=1", tmp_path)
    ended = runner.invoke(args=["export", "list"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    assert "%40 for @" in ended.stderr
    assert "heim" not in ended.stderr


@pytest.mark.parametrize("arguments", [["export", "list"], ["db", "upgrade"]])
def test_missing_rights_are_told_in_one_line(app, runner, backend, administer, tmp_path, arguments):
    administer("CREATE ROLE contactexport_stranger LOGIN")
    try:
        parts = psycopg2.extensions.parse_dsn(backend.database.url) | {"user": "contactexport_stranger"}
        query = "&".join(f"{name}={parts[name]}" for name in ("host", "port") if name in parts)
        url = f"postgresql://{parts['user']}@/{parts['dbname']}?{query}"
        app.extensions["contactexport"] = stranger = backend_for(url, tmp_path)
        ended = runner.invoke(args=arguments)
        stranger.database.close()
    finally:
        administer("DROP ROLE contactexport_stranger")
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: The database refuses this user: permission denied")
