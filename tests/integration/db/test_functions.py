"""The files of db/functions say what the functions and triggers of the database are now."""

from collections.abc import Iterator

import pytest

from contactexport.context import Context
from contactexport.db import function_files, migrate, schema_parts
from tests.support.empty_databases import empty_database
from tests.support.exporting import execute

FUNCTIONS = """
    SELECT p.proname AS name, pg_get_functiondef(p.oid) AS text FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace ORDER BY p.proname"""
TRIGGERS = """
    SELECT pg_get_triggerdef(g.oid) || ';' AS text FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT g.tgisinternal ORDER BY c.relname, g.tgname"""


@pytest.fixture
def migrated(context: Context, database_name: str) -> Iterator[Context]:
    """A context for a database with nothing but what the migrations make."""
    with empty_database(context, f"{database_name}_migrated") as made:
        migrate.upgrade(made.database)
        yield made


def test_files_are_what_the_database_has(migrated: Context):
    live = execute(migrated, FUNCTIONS)
    assert [row["name"] for row in live] == function_files.names()
    with migrated.database.transaction() as conn:
        function_files.apply(conn, "public")
    assert execute(migrated, FUNCTIONS) == live


def test_file_of_triggers_shows_each_trigger(migrated: Context):
    written = (function_files.FOLDER / "triggers.sql").read_text(encoding="utf-8").replace("{schema}", "public")
    shown = [line for line in written.splitlines() if not line.startswith("--")]
    assert shown == [row["text"] for row in execute(migrated, TRIGGERS)]


def test_upgrade_replaces_a_function_with_another_text(migrated: Context):
    expected = execute(migrated, FUNCTIONS)
    execute(migrated, "CREATE OR REPLACE FUNCTION catalogue_changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'")
    with migrated.database.transaction() as conn:
        assert schema_parts.missing_functions(conn, "public") == ["function catalogue_changed()"]
    migrate.upgrade(migrated.database)
    assert execute(migrated, FUNCTIONS) == expected


def test_triggers_that_write_have_the_rights_of_their_owner(migrated: Context):
    """Otherwise workers of an older version, whose role has no rights on new tables yet, could not claim an export."""
    found = execute(
        migrated,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype"
        " AND prosrc ~ 'INSERT INTO|UPDATE [{a-z]' AND NOT prosecdef",
    )
    assert found == []
