"""CONTACTEXPORT_SCHEMA: all tables and functions of the program are in that schema, and it uses no other."""

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg2
import pytest
from flask import Flask
from psycopg2 import sql
from psycopg2.errors import RaiseException

from contactexport import readiness
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.db.queries import SQL_FOLDER
from contactexport.embedded import sample_catalogue
from contactexport.errors import ContactExportError, DatabaseUnavailable, SchemaMismatch
from contactexport.exports import cancel, notify, retry, sweep
from contactexport.users import manage
from tests.support import notification_receiver, planted, sql_texts
from tests.support.empty_databases import empty_database
from tests.support.exporting import (
    REQUIRED_ONLY,
    TESTER,
    around_now,
    contact_changed,
    context_with,
    execute,
    export_file,
    exported_ids,
    ids_in,
    make_due,
    other_session,
    request,
    run,
    settings_for,
)
from tests.support.oauth_clients import access_token, add_client, bearer

ODD = 'Some "odd" o\'brien 100%s {schema}, x'
TABLES = ["contact", "contact_change", "contact_field", "export", "api_user", "origin", "alembic_version"]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def without_rights(server_url: str, name: str) -> Iterator[str]:
    """A role that may log in and nothing else."""
    conn = psycopg2.connect(server_url)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield name
        cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    conn.close()


@pytest.fixture
def program(server_url: str) -> Iterator[str]:
    with without_rights(server_url, f"program_{os.getpid()}") as name:
        yield name


@pytest.fixture
def intruder(server_url: str) -> Iterator[str]:
    with without_rights(server_url, f"schema_intruder_{os.getpid()}") as name:
        yield name


@contextmanager
def odd_house(context: Context, name: str, program: str) -> Iterator[Context]:
    """A new database. The role of the program has rights on its own schema and on nothing else."""
    with empty_database(context, name, schema=ODD) as administrator:
        execute(administrator, f"CREATE SCHEMA {quoted(ODD)} AUTHORIZATION {program}")
        execute(administrator, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        url = administrator.database.url
        user = psycopg2.extensions.parse_dsn(url)["user"]
        made = context_with(administrator, database_url=url.replace(f"//{user}", f"//{program}", 1))
        yield made
        made.database.close()
        administrator.database.close()


@pytest.fixture
def odd(context: Context, database_name: str, program: str) -> Iterator[Context]:
    with odd_house(context, f"{database_name}_odd", program) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[str]:
    with notification_receiver.receiver(notification_receiver.status(204)) as server:
        yield server.url()


def invoke(runner, *arguments: str) -> str:
    done = runner.invoke(args=list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def commands(runner, tmp_path) -> None:
    invoke(runner, "contacts", "sample", "--contacts", "300")
    people = tmp_path / "people.csv"
    people.write_text("E-Mail,First Name\njo@example.com,Jo\nmax@example.com,Max\n", encoding="utf-8")
    invoke(runner, "contacts", "import", str(people), "--origin", "form:123")
    people.write_text("E-Mail,First Name\njo@example.com,Joanna\n", encoding="utf-8")
    assert "1" in invoke(runner, "contacts", "import", str(people), "--origin", "form:123")
    for arguments in (
        ("users", "add", "cron", "--wsse", "--token"),
        ("users", "set", "cron", "--team", "night"),
        ("users", "rotate", "cron", "--token"),
        ("users", "list"),
        ("users", "revoke", "cron"),
        ("secrets", "rotate"),
        ("contacts", "prune", "--before", "2012-02-01", "--yes"),
        ("db", "current"),
    ):
        invoke(runner, *arguments)
    window = ("--from", "2012-02-09", "--to", "2012-04-02", "--fields", "1,3,5,106533")
    invoke(runner, "export", "changes", "--origin", "all", *window, "--output", str(tmp_path / "all.csv"))
    assert len((tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()) > 10
    assert "1" in invoke(runner, "export", "list")


def calls(app: Flask, context: Context) -> None:
    client = app.test_client()
    token = manage.add_user(context, "anna", with_wsse=False, with_token=True).token
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    accepted = client.post("/api/v2/contact/getchanges", json=REQUIRED_ONLY)
    assert accepted.status_code == 200, accepted.text
    export_id = accepted.json["data"]["id"]
    assert client.post("/api/v2/contact/getchanges", json=REQUIRED_ONLY).json["replyCode"] == 4001
    assert run(context, export_id).status == "done"
    for path in (
        f"export/{export_id}",
        f"export/{export_id}/data",
        "export",
        "field",
        "form",
        "source",
        "field/5/choice",
    ):
        assert client.get(f"/api/v2/{path}", buffered=True).status_code == 200, path
    assert client.get("/api/v2/contact/query?return=3&limit=5").json["data"]["result"]
    found = client.post("/api/v2/contact/getdata", json={"keyId": "id", "keyValues": [1], "fields": ["1", "3"]})
    assert found.json["data"]["result"]
    made = add_client(context, "sync")
    assert client.get("/api/v3/field", headers=bearer(access_token(client, made))).status_code == 200


def runs(context: Context, receiver: str) -> None:
    made = contact_changed(context, first_name="Jo")
    assert f"\n{made},Jo,".encode() in export_file(context, settings_for())
    assert export_file(context, settings_for(type="registrations", **around_now()))
    export_id = request(context, settings_for(end=settings_for().end - timedelta(days=1), notification_url=receiver))
    make_due(context, export_id)
    sweep.sweep(context)
    cancel.cancel(context, export_id, TESTER)
    retry.retry(context, export_id, None)
    assert run(context, export_id).status == "done"
    notify.notify(context, export_id)
    assert execute(context, "SELECT notified_at IS NOT NULL AS told FROM export WHERE id = %s", (export_id,))[0]["told"]
    sweep.sweep(dataclasses.replace(context, settings=dataclasses.replace(context.settings, retention=0)))


def failing_runs(context: Context) -> None:
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer; UPDATE customer SET zip_code = 'many' WHERE id = 5;"
        "CREATE VIEW contact AS SELECT id, origin_kind, origin_id, email, zip_code::integer AS gender FROM customer",
    )
    failed = run(
        context, request(context, settings_for(origin="all", origin_ids=(), contact_fields=(5,), **around_now()))
    )
    assert failed.status == "error"
    assert "of contact 5 cannot be read" in failed.error


def main_paths(context: Context, app: Flask, runner, tmp_path, receiver: str) -> None:
    """Every command and call that uses the database, and exports from request to notification."""
    app.extensions["contactexport"] = context
    assert invoke(runner, "db", "upgrade").endswith("(was empty)\n")
    commands(runner, tmp_path)
    calls(app, context)
    runs(context, receiver)
    failing_runs(context)
    assert readiness.check(context) == {"database": "ok", "storage": "ok", "broker": "ok"}


def test_program_works_in_a_schema_of_any_name_without_rights_elsewhere(odd, app, runner, tmp_path, receiver):
    main_paths(odd, app, runner, tmp_path, receiver)
    where = (
        "SELECT DISTINCT {0}::regnamespace::text AS name FROM {1} WHERE {0}::regnamespace::text !~ '^(pg_|information)'"
    )
    for place, catalogue in (("relnamespace", "pg_class"), ("pronamespace", "pg_proc"), ("typnamespace", "pg_type")):
        assert execute(odd, where.format(place, catalogue)) == [{"name": quoted(ODD)}]


def plant_everything(odd: Context, administrator: Context, intruder: str, program: str) -> None:
    """Puts tables, functions and operators of another role on the search path of the program's role."""
    execute(administrator, f"CREATE SCHEMA {program}; GRANT USAGE ON SCHEMA public, {program} TO {program}")
    execute(administrator, f'ALTER ROLE {program} SET search_path = "$user", public, pg_catalog')
    with other_session(administrator) as conn, conn.cursor() as cursor:
        for schema, texts in (("public", sql_texts.queries()), (program, sql_texts.queries()[:1])):
            planted.plant(conn, intruder, texts, schema)
            cursor.execute(f"SET ROLE {intruder}")
            for table in TABLES:
                cursor.execute(f"CREATE TABLE {schema}.{table} (id integer, version_num text)")
            cursor.execute("RESET ROLE")
    with other_session(odd) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.current_schemas(false)")
        assert cursor.fetchone()[0] == [program, "public", "pg_catalog"]
        with pytest.raises(RaiseException, match=planted.CALLED):
            cursor.execute("SELECT 1::oid = 1::integer")


@pytest.mark.slow
def test_program_calls_nothing_planted_on_the_search_path_of_its_role(
    context, database_name, program, intruder, app, runner, tmp_path, receiver
):
    with odd_house(context, f"{database_name}_beset", program) as odd:
        administrator = context_with(
            odd, database_url=context.database.url.replace(database_name, f"{database_name}_beset")
        )
        plant_everything(odd, administrator, intruder, program)
        main_paths(odd, app, runner, tmp_path, receiver)
        rows = " UNION ALL ".join(
            f"SELECT id FROM {place}.{table}" for place in ("public", program) for table in TABLES
        )
        assert execute(administrator, rows) == []
        administrator.database.close()


@pytest.mark.parametrize("name", ["contacts", ODD])
def test_triggers_and_months_find_their_tables_in_a_schema_of_any_name(context, database_name, name):
    with empty_database(context, f"{database_name}_elsewhere", schema=name) as made:
        migrate.upgrade(made.database)
        sample_catalogue.load(made.database)
        table = f"{quoted(name)}.contact"
        with other_session(made) as conn, conn.cursor() as cursor:
            cursor.execute("SET search_path = ''")
            cursor.execute(f"INSERT INTO {table} (origin_kind) SELECT 'api' FROM generate_series(1, 200)")
            cursor.execute(f"UPDATE {table} SET first_name = 'x'; UPDATE {table} SET first_name = 'y' WHERE id = 1")
            cursor.execute(
                f"SELECT count(*), {quoted(name)}.contact_change_months('2012-01-01', '2012-02-01')"
                f" FROM {quoted(name)}.contact_change"
            )
            assert cursor.fetchone() == (401, 2)
        assert migrate.differences(made.database) == []


def test_both_databases_use_the_schema(odd: Context):
    apart = context_with(odd, contacts_database_url=odd.database.url)
    for database in apart.databases:
        migrate.upgrade(database)
    sample_catalogue.load(apart.contacts)
    contact = contact_changed(apart)
    assert exported_ids(apart, settings_for()) == [contact]
    assert set(readiness.check(apart).values()) == {"ok"}
    apart.contacts.close()
    apart.database.close()


def test_upgrade_names_the_schema_that_only_the_search_path_leads_to(context, database_name):
    """Older versions of the program found them by the search path."""
    with empty_database(context, f"{database_name}_path", schema="crm") as made:
        migrate.upgrade(made.database)
        execute(made, f"ALTER DATABASE {database_name}_path SET search_path = crm")
        default = context_with(made, schema="public")
        with pytest.raises(SchemaMismatch, match=r"are in the schema crm, .*: set CONTACTEXPORT_SCHEMA=crm$"):
            migrate.upgrade(default.database)
        default.database.close()


def test_upgrade_names_the_right_it_lacks_on_the_schema(context, database_name, program):
    with empty_database(context, f"{database_name}_closed", schema="crm") as made:
        user = psycopg2.extensions.parse_dsn(made.database.url)["user"]
        poor = context_with(made, database_url=made.database.url.replace(f"//{user}", f"//{program}", 1))
        with pytest.raises(DatabaseUnavailable, match=r"^The schema crm does not exist, and the database does not let"):
            migrate.upgrade(poor.database)
        for rights in (
            "",
            "GRANT USAGE ON SCHEMA crm TO {0}",
            "REVOKE ALL ON SCHEMA crm FROM {0}; GRANT CREATE ON SCHEMA crm TO {0}",
        ):
            execute(made, "CREATE SCHEMA IF NOT EXISTS crm;" + rights.format(program))
            with pytest.raises(DatabaseUnavailable, match="permission denied for the schema crm: GRANT USAGE, CREATE"):
                migrate.upgrade(poor.database)
        execute(made, f"GRANT USAGE, CREATE ON SCHEMA crm TO {program}")
        assert migrate.upgrade(poor.database)[0] is None
        poor.database.close()
        execute(made, f"DROP OWNED BY {program}")


TAKEN = {
    "a table": ("CREATE TABLE export (id integer)", "export"),
    "a view": ("CREATE VIEW contact AS SELECT 1 AS id", "contact"),
    "an index": ("CREATE TABLE person (email text); CREATE INDEX contact_email ON person (email)", "contact_email"),
    "a type": ("CREATE TYPE origin AS ENUM ('web')", "origin"),
    "a function": ("CREATE FUNCTION export_accept() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "export_accept"),
    "several": ("CREATE TABLE contact (id integer); CREATE TABLE api_user (id integer)", "api_user, contact"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_upgrade_refuses_taken_names_and_changes_nothing(context, database_name, kind):
    statement, named = TAKEN[kind]
    with empty_database(context, f"{database_name}_taken") as made:
        execute(made, statement)
        everything = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        before = execute(made, everything)
        with pytest.raises(
            ContactExportError, match=f"^The schema public has {named} already.*set CONTACTEXPORT_SCHEMA"
        ):
            migrate.upgrade(made.database)
        assert execute(made, everything) == before
        own = context_with(made, schema="contactexport")
        migrate.upgrade(own.database)
        migrate.check(own.database)
        own.database.close()


LOOKUP = """
CREATE TABLE public.lookup (word text);
INSERT INTO public.lookup VALUES ('Jo');
CREATE FUNCTION public.looked_up() RETURNS text LANGUAGE {language} STABLE {path} AS '{body}';
"""
BODIES = {"sql": "SELECT word FROM lookup", "plpgsql": "BEGIN RETURN (SELECT word FROM lookup); END"}


@pytest.mark.parametrize("language", BODIES)
@pytest.mark.parametrize("path", ["", "SET search_path = public, pg_temp"])
def test_function_of_a_view_finds_names_by_its_own_path_or_in_our_schema(
    context, database_name, language, path, caplog
):
    with empty_database(context, f"{database_name}_view", schema="crm") as made:
        migrate.upgrade(made.database)
        sample_catalogue.load(made.database)
        contact = contact_changed(made)
        execute(
            made, "SET LOCAL search_path = public;" + LOOKUP.format(language=language, path=path, body=BODIES[language])
        )
        execute(
            made, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS"
            " SELECT id, origin_kind, origin_id, public.looked_up() AS first_name, email FROM customer",
        )  # fmt: skip
        export_id = request(made, settings_for())
        if not path:
            assert run(made, export_id).rows is None
            assert 'relation "lookup" does not exist' in caplog.text
            assert "give it a search_path of its own, see docs/own-table.md" in caplog.text
            execute(made, "CREATE VIEW lookup AS SELECT * FROM public.lookup")
            make_due(made, export_id)
        done = run(made, export_id)
        assert (done.status, ids_in(made, done)) == ("done", [contact])


def test_tables_with_the_names_of_our_temporary_tables_are_not_touched(context: Context, app, runner, tmp_path):
    text = "".join(sql_texts.queries())
    names = set(re.findall(r"CREATE TEMPORARY TABLE (\w+)", text))
    assert {"contact_import", "contact_import_match", "sample_person"} <= names
    for name in names:
        execute(context, f"CREATE TABLE {name} (import_line text)")
    people = tmp_path / "people.csv"
    people.write_text("E-Mail,First Name\njo@example.com,Jo\n", encoding="utf-8")
    for _ in range(2):
        invoke(runner, "contacts", "import", str(people), "--origin", "form:123")
    invoke(runner, "contacts", "sample", "--contacts", "10")
    assert execute(context, "SELECT count(*) AS contacts FROM contact") == [{"contacts": 11}]
    assert execute(context, " UNION ALL ".join(f"SELECT import_line FROM public.{name}" for name in names)) == []


def test_import_compares_an_extension_type_by_its_own_operator(context, database_name, app, runner, tmp_path):
    """citext ignores case."""
    if not execute(context, "SELECT name FROM pg_available_extensions WHERE name = 'citext'"):
        pytest.skip("the server has no citext")
    with empty_database(context, f"{database_name}_citext", schema="crm") as made:
        migrate.upgrade(made.database)
        sample_catalogue.load(made.database)
        execute(made, "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions")
        execute(
            made, "ALTER TABLE contact ALTER loyalty_number TYPE extensions.citext, ALTER city TYPE extensions.citext"
        )
        app.extensions["contactexport"] = made
        people = tmp_path / "people.csv"
        arguments = ("contacts", "import", str(people), "--origin", "form:123", "--key", "Loyalty number")
        for line in ("L-1,Wien", "l-1,WIEN", "l-1,WIEN"):
            people.write_text(f"Loyalty number,City\n{line}\n", encoding="utf-8")
            invoke(runner, *arguments)
        found = execute(made, "SELECT loyalty_number::text AS number, city::text FROM contact")
        assert found == [{"number": "L-1", "city": "WIEN"}]
        assert execute(made, "SELECT count(*) AS changes FROM contact_change") == [{"changes": 2}]
        people.write_text("Loyalty number,City\nx,Graz\nX,Graz\n", encoding="utf-8")
        told = runner.invoke(args=list(arguments))
        assert (told.exit_code, "the same key is in line 2 already" in told.output) == (1, True)


def test_no_statement_names_the_schema_public():
    versions = sorted((SQL_FOLDER.parent / "migrations" / "versions").glob("*.sql"))
    texts = [*sql_texts.queries(), *(file.read_text(encoding="utf-8") for file in versions)]
    assert len(texts) > 20
    assert [text for text in texts if re.search(r"\bpublic\s*\.", text)] == []
