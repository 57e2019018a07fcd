"""A database that an older version has made becomes what a new one is, and what it holds stays."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from empty_databases import empty_database, old_database
from exporting import add_contact, around_now, execute, exported_ids, other_session, request, run, settings_for

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.errors import ExportAlreadyRunning, LogInUse
from contactexport.models import ExportSettings

OURS = "n.nspname = 'public'"
# Everything of the schema, as Postgres writes it.
CATALOGUE = {
    "columns": f"""
        SELECT c.relname, c.relkind, c.relpersistence, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid) AS default
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE {OURS} AND a.attnum > 0 AND NOT a.attisdropped""",
    "rights on tables": f"""
        SELECT c.relname, c.relowner::regrole::text, c.relacl::text
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {OURS}""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": f"""
        SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.convalidated
        FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace WHERE {OURS}""",
    "functions": f"""
        SELECT pg_get_functiondef(p.oid), p.proowner::regrole::text, p.proacl::text
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE {OURS}""",
    "triggers": f"""
        SELECT pg_get_triggerdef(t.oid), t.tgenabled
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE {OURS} AND NOT t.tgisinternal""",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, min_value, max_value, increment_by, cycle
        FROM pg_sequences WHERE schemaname = 'public'""",
    "partitions": f"""
        SELECT i.inhrelid::regclass::text, i.inhparent::regclass::text, p.partstrat, pg_get_partkeydef(i.inhparent)
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_partitioned_table AS p ON p.partrelid = i.inhparent WHERE {OURS}""",
}
# Which months there are depends on the day on which the tables were made.
MONTH = re.compile(r"contact_change_\d{4}_\d\d")
TABLES = [
    "origin", "contact_field", "contact_field_choice", "catalogue_version", "contact", "contact_change", "api_user",
    "export", "export_row_mark", "request_count", "wsse_nonce",
]  # fmt: skip
# The versions of which there is a dump, and the tables that they have besides.
LATER_TABLES = {"0001": [], "0005": ["access_token", "contact_log_horizon"]}
CHANGED = {"0001": [1, 2], "0005": [1, 2, 5]}
# What was created in the window, as far as a version notes it.
CREATED = {"0001": [], "0005": [5]}


@pytest.fixture(params=LATER_TABLES)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tables(version: str) -> list[str]:
    return [*TABLES, *LATER_TABLES[version]]


@pytest.fixture
def old(backend: Backend, database_name: str, version: str) -> Iterator[Backend]:
    with old_database(backend, f"{database_name}_old", version) as made:
        yield made


@pytest.fixture
def new(backend: Backend, database_name: str) -> Iterator[Backend]:
    with empty_database(backend, f"{database_name}_new") as made:
        migrate.upgrade(made.database)
        yield made


def catalogue(backend: Backend, part: str) -> list[str]:
    return sorted({MONTH.sub("contact_change_month", repr(row)) for row in execute(backend, CATALOGUE[part])})


def rows(backend: Backend, tables: list[str]) -> dict[str, list[dict]]:
    return {table: execute(backend, f"SELECT * FROM {table} AS t ORDER BY t::text") for table in tables}


def stored_settings(backend: Backend, export_id: int) -> ExportSettings:
    stored = execute(backend, "SELECT settings FROM export WHERE id = %s", (export_id,))
    return ExportSettings.from_json(stored[0]["settings"])


def test_the_dump_has_rows_in_every_table(old: Backend, version: str, tables: list[str]):
    found = execute(
        old, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relname <> %s"
        " AND relnamespace = 'public'::regnamespace", ("alembic_version",),
    )  # fmt: skip
    assert sorted(row["relname"] for row in found) == sorted(tables)
    assert all(rows(old, tables).values())
    assert migrate.current_version(old.database) == version


@pytest.mark.parametrize("part", CATALOGUE)
def test_an_upgraded_database_is_what_a_new_one_is(old: Backend, new: Backend, version: str, part: str):
    """Also on a server before Postgres 18, where the log has an index more than in the dump."""
    assert migrate.upgrade(old.database) == (version, migrate.current_version(new.database))
    migrate.check(old.database)
    assert migrate.differences(old.database) == []
    assert catalogue(old, part) == catalogue(new, part)


def test_an_upgrade_keeps_every_row(old: Backend, tables: list[str]):
    before = rows(old, tables)
    migrate.upgrade(old.database)
    after = rows(old, tables)
    kept = {table: [[row[name] for name in before[table][0]] for row in after[table]] for table in tables}
    assert kept == {table: [list(row.values()) for row in before[table]] for table in tables}


def test_an_upgrade_rewrites_no_log(old: Backend):
    """However large it is, the upgrade takes no longer."""
    files = "SELECT relid, pg_relation_filenode(relid) FROM pg_partition_tree('contact_change') ORDER BY 1"
    before = execute(old, files)
    migrate.upgrade(old.database)
    assert execute(old, files) == before


def test_changes_of_before_the_upgrade_are_exported(old: Backend, version: str):
    migrate.upgrade(old.database)
    assert exported_ids(old, settings_for()) == CHANGED[version]


def test_an_export_accepted_before_the_upgrade_refuses_its_setting_and_is_finished(old: Backend, version: str):
    migrate.upgrade(old.database)
    settings = stored_settings(old, 2)
    with pytest.raises(ExportAlreadyRunning):
        request(old, settings)
    export = run(old, 2)
    assert (export.status, export.settings, export.rows) == ("done", settings, len(CHANGED[version]))


def test_contacts_that_were_not_noted_as_created_are_not_told_as_such(old: Backend, version: str):
    migrate.upgrade(old.database)
    made = add_contact(old)
    assert exported_ids(old, settings_for(**around_now(), type="registrations")) == [made]
    assert exported_ids(old, settings_for(type="registrations")) == CREATED[version]


def test_triggers_of_a_table_below_a_view_log_after_the_upgrade(old: Backend):
    execute(old, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
    migrate.upgrade(old.database)
    execute(old, "INSERT INTO customer (origin_kind, origin_id) VALUES ('form', 124)")
    assert len(exported_ids(old, settings_for(**around_now(), origin_ids=(124,)))) == 1


@pytest.mark.parametrize("version", ["0001"])
def test_an_upgrade_does_not_wait_for_long_readers_of_the_log(old: Backend):
    """Writers of contacts would wait behind it."""
    with other_session(old, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        with pytest.raises(LogInUse, match="in use by an export or a writer: nothing was upgraded"):
            migrate.upgrade(old.database)
    assert migrate.current_version(old.database) == "0001"
    migrate.upgrade(old.database)
    migrate.check(old.database)


def test_the_moment_of_the_last_reading_is_kept(old: Backend):
    """Changes made after the upgrade get no time before it."""
    migrate.upgrade(old.database)
    ahead = datetime.now(UTC).timestamp() + 3600
    execute(old, "SELECT setval('contact_change_read', %s)", (round(ahead * 1_000_000),))
    contact = add_contact(old)
    logged = execute(old, "SELECT changed_at FROM contact_change WHERE contact_id = %s", (contact,))
    assert logged[0]["changed_at"].timestamp() == pytest.approx(ahead)
