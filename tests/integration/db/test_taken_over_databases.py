"""Databases that another program or another edition of this one has used: taken over, or refused."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from contactexport import readiness
from contactexport.context import Context
from contactexport.db import migrate, schema_parts, version_record
from contactexport.errors import SchemaMismatch
from tests.support.empty_databases import UPGRADE, empty_database, old_database
from tests.support.exporting import execute

TABLES = "SELECT to_regclass('alembic_version')::text AS former, to_regclass('contactexport_version')::text AS own"
BOTH = {"former": "alembic_version", "own": "contactexport_version"}


@pytest.fixture
def old(context: Context, database_name: str) -> Iterator[Context]:
    with old_database(context, f"{database_name}_old") as made:
        yield made


@pytest.fixture
def empty(context: Context, database_name: str) -> Iterator[Context]:
    with empty_database(context, f"{database_name}_empty") as made:
        yield made


def test_list_of_the_schema_matches_the_migrations(empty: Context):
    """After a new migration: WRITE_SCHEMA_LIST=1 pytest -k list_of_the_schema."""
    migrate.upgrade(empty.database)
    with empty.database.transaction() as conn:
        made = sorted(schema_parts.parts(conn, "public"))
    if os.environ.get("WRITE_SCHEMA_LIST"):
        schema_parts.LIST.write_text("\n".join(made) + "\n", encoding="utf-8")
    assert schema_parts.LIST.read_text(encoding="utf-8").splitlines() == made


def test_former_version_table_is_taken_over_once(old: Context):
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, old.database.url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = sorted(process.communicate()[0].split()[0] for process in processes)
    newest = version_record.newest()
    assert told == ["0001", newest, newest]
    assert execute(old, TABLES) == [BOTH | {"former": None}]
    noted = execute(old, "SELECT version, sha256 FROM contactexport_checksum ORDER BY version")
    assert {row["version"]: row["sha256"] for row in noted} == version_record.known_versions()
    migrate.check(old.database)


def test_failed_upgrade_keeps_the_former_version_table(old: Context):
    execute(old, "ALTER TABLE export DROP COLUMN deliveries")
    with pytest.raises(SchemaMismatch):
        migrate.upgrade(old.database)
    assert execute(old, TABLES) == [BOTH | {"own": None}]
    assert migrate.current_version(old.database) == "0001"


@pytest.mark.parametrize("revisions", ["('3f1c0d')", "('0001')", "('0001'), ('0002')", ""])
def test_upgrade_ignores_the_version_table_of_another_program(empty: Context, revisions: str):
    """Even if they have the same names as ours."""
    execute(empty, "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL); CREATE TABLE person (id integer)")
    if revisions:
        execute(empty, f"INSERT INTO alembic_version VALUES {revisions}")
    before = execute(empty, "SELECT * FROM alembic_version")
    assert migrate.current_version(empty.database) is None
    assert migrate.upgrade(empty.database) == (None, version_record.newest())
    assert migrate.upgrade(empty.database) == (version_record.newest(), version_record.newest())
    migrate.check(empty.database)
    assert execute(empty, TABLES) == [BOTH]
    assert execute(empty, "SELECT * FROM alembic_version") == before


# What editions of version 0001 that were never released created differently.
EDITIONS = {
    "no table": ("DROP TABLE catalogue_version", "lacks .*table catalogue_version"),
    "no column": ("ALTER TABLE export DROP COLUMN rows_expected", "lacks column export.rows_expected bigint"),
    "another type": ("ALTER TABLE origin ALTER id TYPE bigint", "lacks column origin.id integer not null and has"),
    "no function": (
        "DROP FUNCTION export_accept; DROP FUNCTION api_user_of_token", "upgraded: .*export_accept.* does not exist"
    ),
    "another index": (
        "DROP INDEX contact_change_by_origin; CREATE INDEX contact_change_by_origin ON contact_change (origin_kind)",
        r"lacks index contact_change_by_origin on contact_change \(origin_id, origin_kind, changed_at, contact_id\)\.",
    ),
    "one column more": (
        "ALTER TABLE export ADD COLUMN owner text NOT NULL DEFAULT 'x'", "has column export.owner text not null besides"
    ),
    "one constraint more": (
        "ALTER TABLE export ADD CONSTRAINT small CHECK (rows < 9)", "has constraint small of export besides"
    ),
    "no trigger": ("DROP TRIGGER origin_changed ON origin", "lacks trigger origin_changed of origin"),
    "a table more": ("CREATE TABLE access_token (id integer)", 'cannot be upgraded: .*"access_token" already exists'),
}  # fmt: skip


@pytest.mark.parametrize("edition", EDITIONS)
def test_database_of_an_unreleased_edition_is_refused_and_not_changed(old: Context, edition: str):
    change, told = EDITIONS[edition]
    execute(old, change)
    with pytest.raises(SchemaMismatch, match=told) as refused:
        migrate.upgrade(old.database)
    assert refused.value.text.endswith("Nothing was changed (docs/failures.md, Postgres)")
    assert migrate.current_version(old.database) == "0001"
    with pytest.raises(SchemaMismatch, match="is at 0001, "):
        migrate.check(old.database)


def test_additions_of_adopters_do_not_count_as_another_edition(old: Context):
    execute(old, "ALTER TABLE contact ADD COLUMN shoe_size integer NOT NULL DEFAULT 1; DROP INDEX contact_email")
    execute(old, "CREATE TABLE person (id integer); CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    execute(old, "CREATE INDEX export_by_owner ON export (created_by, id)")
    assert migrate.upgrade(old.database) == ("0001", version_record.newest())
    assert migrate.differences(old.database) == []


def test_version_applied_by_another_edition_is_named(context: Context, caplog: pytest.LogCaptureFixture):
    execute(context, "UPDATE contactexport_checksum SET sha256 = 'abc' WHERE version = '0003'")
    for act in (migrate.check, migrate.upgrade):
        with pytest.raises(
            SchemaMismatch, match=r"^Version 0003 .* another edition .* checksum is abc, [0-9a-f]{64} e"
        ):
            act(context.database)
    assert readiness.check(context)["database"] == "unavailable"
    assert "Version 0003 of the database's schema" in caplog.text


def test_version_without_its_checksum_is_named(context: Context):
    execute(context, "DELETE FROM contactexport_checksum WHERE version = '0002'")
    with pytest.raises(SchemaMismatch, match=r"^Version 0002 .* is missing, "):
        migrate.check(context.database)


def test_database_without_checksums_asks_for_an_upgrade(context: Context):
    execute(context, "DROP TABLE contactexport_checksum")
    with pytest.raises(SchemaMismatch, match="has no checksums yet: run `flask db upgrade`"):
        migrate.check(context.database)
    newest = version_record.newest()
    assert migrate.upgrade(context.database) == (newest, newest)
    migrate.check(context.database)


def test_upgrade_creates_the_index_by_time_before_postgres_18(context: Context, runner):
    newest = version_record.newest()
    execute(context, "DROP INDEX IF EXISTS contact_change_by_time")
    with context.database.session() as conn:
        needed = conn.server_version < 180_000
    found = "SELECT to_regclass('contact_change_by_time') IS NOT NULL AS found"
    told = runner.invoke(args=["db", "current"])
    assert (told.exit_code, "contact_change_by_time" in told.stderr) == (int(needed), needed)
    assert migrate.upgrade(context.database) == (newest, newest)
    assert execute(context, found) == [{"found": needed}]
    assert runner.invoke(args=["db", "current"]).output == f"public: {newest}\n"


def test_db_current_lists_all_that_a_schema_lacks(context: Context, runner):
    execute(context, "DROP INDEX export_of_team; DROP TRIGGER origin_changed ON origin")
    execute(
        context,
        "CREATE OR REPLACE FUNCTION contact_change_time() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp AS 'SELECT now()'",
    )
    told = runner.invoke(args=["db", "current"])
    assert told.exit_code == 1
    assert told.stderr.splitlines() == [
        "lacking in public: function contact_change_time()",
        "lacking in public: index export_of_team on export (team, id)",
        "lacking in public: trigger origin_changed of origin",
    ]


def test_db_current_fails_for_an_old_schema(old: Context, app, runner):
    app.extensions["contactexport"] = old
    told = runner.invoke(args=["db", "current"])
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("Error: The database's schema public is at 0001, ")
