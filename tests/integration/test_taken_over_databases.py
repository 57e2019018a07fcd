"""Databases that another program, or another edition of this one, has been at work in: taken over, or told apart."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from empty_databases import empty_database, old_database
from exporting import execute
from test_migrations import UPGRADE

from contactexport.backend import Backend
from contactexport.db import migrate, schema_parts, version_record
from contactexport.errors import SchemaMismatch
from contactexport.services import check_readiness

TABLES = "SELECT to_regclass('alembic_version')::text AS former, to_regclass('contactexport_version')::text AS own"
BOTH = {"former": "alembic_version", "own": "contactexport_version"}


@pytest.fixture
def old(backend: Backend, database_name: str) -> Iterator[Backend]:
    with old_database(backend, f"{database_name}_old") as made:
        yield made


@pytest.fixture
def empty(backend: Backend, database_name: str) -> Iterator[Backend]:
    with empty_database(backend, f"{database_name}_empty") as made:
        yield made


def test_the_list_of_the_schema_is_what_the_migrations_make(empty: Backend):
    """After a new migration: WRITE_SCHEMA_LIST=1 pytest -k list_of_the_schema."""
    migrate.upgrade(empty.database)
    with empty.database.transaction() as conn:
        made = sorted(schema_parts.parts(conn, "public"))
    if os.environ.get("WRITE_SCHEMA_LIST"):
        schema_parts.LIST.write_text("\n".join(made) + "\n", encoding="utf-8")
    assert schema_parts.LIST.read_text(encoding="utf-8").splitlines() == made


def test_a_version_table_of_before_is_taken_over_by_whoever_comes_first(old: Backend):
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


def test_an_upgrade_that_fails_takes_nothing_over(old: Backend):
    execute(old, "ALTER TABLE export DROP COLUMN deliveries")
    with pytest.raises(SchemaMismatch):
        migrate.upgrade(old.database)
    assert execute(old, TABLES) == [BOTH | {"own": None}]
    assert migrate.current_version(old.database) == "0001"


@pytest.mark.parametrize("revisions", ["('3f1c0d')", "('0001')", "('0001'), ('0002')", ""])
def test_the_versions_of_another_program_that_uses_alembic_are_left_alone(empty: Backend, revisions: str):
    """Not even if they are called like ours."""
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


# What editions of version 0001 that were never released had made otherwise.
EDITIONS = {
    "no table": ("DROP TABLE catalogue_version", "lacks .*table catalogue_version"),
    "no column": ("ALTER TABLE export DROP COLUMN deliveries", "lacks column export.deliveries jsonb not null"),
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
def test_a_database_of_an_edition_that_was_never_released_is_told_and_left_alone(old: Backend, edition: str):
    change, told = EDITIONS[edition]
    execute(old, change)
    with pytest.raises(SchemaMismatch, match=told) as refused:
        migrate.upgrade(old.database)
    assert refused.value.text.endswith("Nothing was changed (docs/failures.md, Postgres)")
    assert migrate.current_version(old.database) == "0001"
    with pytest.raises(SchemaMismatch, match="is at 0001, "):
        migrate.check(old.database)


def test_what_adopters_add_is_no_other_edition(old: Backend):
    execute(old, "ALTER TABLE contact ADD COLUMN shoe_size integer NOT NULL DEFAULT 1; DROP INDEX contact_email")
    execute(old, "CREATE TABLE person (id integer); CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    execute(old, "CREATE INDEX export_by_owner ON export (created_by, id)")
    assert migrate.upgrade(old.database) == ("0001", version_record.newest())
    assert migrate.differences(old.database) == []


def test_a_version_that_another_edition_has_applied_is_named(backend: Backend, caplog: pytest.LogCaptureFixture):
    execute(backend, "UPDATE contactexport_checksum SET sha256 = 'abc' WHERE version = '0003'")
    for act in (migrate.check, migrate.upgrade):
        with pytest.raises(
            SchemaMismatch, match=r"^Version 0003 .* another edition .* checksum is abc, [0-9a-f]{64} e"
        ):
            act(backend.database)
    assert check_readiness.check(backend)["database"] == "unavailable"
    assert "Version 0003 of the database's schema" in caplog.text


def test_a_version_whose_checksum_is_missing_is_named(backend: Backend):
    execute(backend, "DELETE FROM contactexport_checksum WHERE version = '0002'")
    with pytest.raises(SchemaMismatch, match=r"^Version 0002 .* is missing, "):
        migrate.check(backend.database)


def test_a_database_without_checksums_is_told_to_be_upgraded(backend: Backend):
    execute(backend, "DROP TABLE contactexport_checksum")
    with pytest.raises(SchemaMismatch, match="has no checksums yet: run `flask db upgrade`"):
        migrate.check(backend.database)
    newest = version_record.newest()
    assert migrate.upgrade(backend.database) == (newest, newest)
    migrate.check(backend.database)


def test_a_server_before_18_gets_the_index_by_time_whenever_it_is_missing(backend: Backend, runner):
    newest = version_record.newest()
    execute(backend, "DROP INDEX IF EXISTS contact_change_by_time")
    with backend.database.session() as conn:
        needed = conn.server_version < 180_000
    found = "SELECT to_regclass('contact_change_by_time') IS NOT NULL AS found"
    told = runner.invoke(args=["db", "current"])
    assert (told.exit_code, "contact_change_by_time" in told.stderr) == (int(needed), needed)
    assert migrate.upgrade(backend.database) == (newest, newest)
    assert execute(backend, found) == [{"found": needed}]
    assert runner.invoke(args=["db", "current"]).output == f"public: {newest}\n"


def test_all_that_a_schema_lacks_is_listed(backend: Backend, runner):
    execute(backend, "DROP INDEX export_of_team; DROP TRIGGER origin_changed ON origin")
    execute(
        backend,
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


def test_current_tells_a_schema_that_does_not_fit(old: Backend, app, runner):
    app.extensions["contactexport"] = old
    told = runner.invoke(args=["db", "current"])
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("Error: The database's schema public is at 0001, ")
