"""`flask db`, and the errors of every command when the database is missing, is empty or refuses."""

import psycopg2
import pytest
from psycopg2 import sql

from contactexport import make_context
from contactexport.settings import load_settings
from tests.support.contexts import database_url


def context_for(url: str, data_dir):
    return make_context(load_settings({}, {"CONTACTEXPORT_DATABASE_URL": url, "CONTACTEXPORT_DATA_DIR": str(data_dir)}))


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
    app.extensions["contactexport"] = made = context_for(url, tmp_path / "data")
    yield url
    made.database.close()
    administer(sql.SQL("DROP DATABASE contactexport_empty WITH (FORCE)"))


def test_upgrade_prints_version_before_and_after(runner, empty_database):
    assert runner.invoke(args=["db", "upgrade"]).output.endswith(" (was empty)\n")
    assert runner.invoke(args=["db", "upgrade"]).output.endswith(" (unchanged)\n")


def test_upgrade_warns_when_every_role_may_create_functions(runner, context):
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert runner.invoke(args=["db", "upgrade"]).stderr == ""
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    warned = runner.invoke(args=["db", "upgrade"])
    assert warned.exit_code == 0
    assert warned.stderr.startswith("Warning: every role may create functions in the schema public")
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in warned.stderr


def test_url_prints_connection_in_use(runner, context):
    assert runner.invoke(args=["db", "url"]).output == f"{context.database.url}\n"


def test_stop_refuses_configured_server(runner):
    ended = runner.invoke(args=["db", "stop"])
    assert ended.exit_code == 2
    assert "not ours to stop" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["export", "list"], ["export", "show", "1"], ["users", "list"], ["secrets", "rotate"], ["export", "cancel", "1"]],
)
def test_empty_database_error_names_command_that_helps(runner, empty_database, arguments):
    ended = runner.invoke(args=arguments)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: The database lacks a table")
    assert "`flask db upgrade`" in ended.stderr


@pytest.mark.parametrize("arguments", [["export", "list"], ["db", "upgrade"], ["users", "add", "anna"]])
def test_unreachable_database_error_is_one_line(app, runner, tmp_path, arguments):
    app.extensions["contactexport"] = context_for("postgresql://anna:geheim@127.0.0.1:1/none", tmp_path)
    ended = runner.invoke(args=arguments)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: The database does not answer")
    assert "geheim" not in ended.stderr


def test_invalid_url_error_hides_password(app, runner, tmp_path):
    app.extensions["contactexport"] = context_for("postgresql://anna@127.0.0.1/none?geheim=1", tmp_path)
    ended = runner.invoke(args=["export", "list"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    assert "%40 for @" in ended.stderr
    assert "heim" not in ended.stderr


@pytest.mark.parametrize("arguments", [["export", "list"], ["db", "upgrade"]])
def test_missing_rights_error_is_one_line(app, runner, context, administer, tmp_path, arguments):
    administer("CREATE ROLE contactexport_stranger LOGIN")
    try:
        parts = psycopg2.extensions.parse_dsn(context.database.url) | {"user": "contactexport_stranger"}
        query = "&".join(f"{name}={parts[name]}" for name in ("host", "port") if name in parts)
        url = f"postgresql://{parts['user']}@/{parts['dbname']}?{query}"
        app.extensions["contactexport"] = stranger = context_for(url, tmp_path)
        ended = runner.invoke(args=arguments)
        stranger.database.close()
    finally:
        administer("DROP ROLE contactexport_stranger")
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Error: The database refuses this user: permission denied")
