"""An upgraded database has the same schema as a new one, and keeps its rows."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from contactexport.context import Context
from contactexport.db import migrate
from contactexport.errors import ExportAlreadyRunning, LogInUse
from contactexport.exports.models import ExportSettings
from tests.support.empty_databases import empty_database, old_database
from tests.support.exporting import (
    add_contact,
    around_now,
    execute,
    exported_ids,
    other_session,
    request,
    run,
    settings_for,
)

OURS = "n.nspname = 'public'"
# Everything in the schema, as Postgres describes it.
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
# The months depend on the day on which the tables were created.
MONTH = re.compile(r"contact_change_\d{4}_\d\d")
TABLES = [
    "origin", "contact_field", "contact_field_choice", "catalogue_version", "contact", "contact_change", "api_user",
    "export", "export_row_mark", "request_count", "wsse_nonce",
]  # fmt: skip
# The versions with a stored dump, and the tables that each has besides TABLES.
OF_0005 = ["access_token", "contact_log_horizon"]
LATER_TABLES = {"0001": [], "0005": OF_0005, "0009": [*OF_0005, "ftp_host_trait", "installation"]}
CHANGED = {"0001": [1, 2], "0005": [1, 2, 5], "0009": [1, 2, 5]}
# The contacts created in the window, if the version notes creations.
CREATED = {"0001": [], "0005": [5], "0009": [5]}


@pytest.fixture(params=LATER_TABLES)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tables(version: str) -> list[str]:
    return [*TABLES, *LATER_TABLES[version]]


@pytest.fixture
def old(context: Context, database_name: str, version: str) -> Iterator[Context]:
    with old_database(context, f"{database_name}_old", version) as made:
        yield made


@pytest.fixture
def new(context: Context, database_name: str) -> Iterator[Context]:
    with empty_database(context, f"{database_name}_new") as made:
        migrate.upgrade(made.database)
        yield made


def catalogue(context: Context, part: str) -> list[str]:
    return sorted({MONTH.sub("contact_change_month", repr(row)) for row in execute(context, CATALOGUE[part])})


def rows(context: Context, tables: list[str]) -> dict[str, list[dict]]:
    return {table: execute(context, f"SELECT * FROM {table} AS t ORDER BY t::text") for table in tables}


def stored_settings(context: Context, export_id: int) -> ExportSettings:
    stored = execute(context, "SELECT settings FROM export WHERE id = %s", (export_id,))
    return ExportSettings.from_json(stored[0]["settings"])


def test_dump_has_rows_in_every_table(old: Context, version: str, tables: list[str]):
    found = execute(
        old, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL (%s)"
        " AND relnamespace = 'public'::regnamespace",
        (["alembic_version", "contactexport_version", "contactexport_checksum"],),
    )  # fmt: skip
    assert sorted(row["relname"] for row in found) == sorted(tables)
    assert all(rows(old, tables).values())
    assert migrate.current_version(old.database) == version


@pytest.mark.parametrize("part", CATALOGUE)
def test_upgraded_database_has_the_schema_of_a_new_one(old: Context, new: Context, version: str, part: str):
    """Before Postgres 18 the log has one index more than in the dump. The upgrade creates it too."""
    assert migrate.upgrade(old.database) == (version, migrate.current_version(new.database))
    migrate.check(old.database)
    assert migrate.differences(old.database) == []
    assert catalogue(old, part) == catalogue(new, part)


def test_upgrade_keeps_every_row(old: Context, tables: list[str]):
    before = rows(old, tables)
    migrate.upgrade(old.database)
    after = rows(old, tables)
    kept = {table: [[row[name] for name in before[table][0]] for row in after[table]] for table in tables}
    assert kept == {table: [list(row.values()) for row in before[table]] for table in tables}


def test_upgrade_does_not_rewrite_the_log(old: Context):
    """So the upgrade takes no longer for a large log."""
    files = "SELECT relid, pg_relation_filenode(relid) FROM pg_partition_tree('contact_change') ORDER BY 1"
    before = execute(old, files)
    migrate.upgrade(old.database)
    assert execute(old, files) == before


def test_changes_before_the_upgrade_are_exported(old: Context, version: str):
    migrate.upgrade(old.database)
    assert exported_ids(old, settings_for()) == CHANGED[version]


def test_export_accepted_before_the_upgrade_still_blocks_its_setting_and_runs(old: Context, version: str):
    migrate.upgrade(old.database)
    settings = stored_settings(old, 2)
    with pytest.raises(ExportAlreadyRunning):
        request(old, settings)
    export = run(old, 2)
    assert (export.status, export.settings, export.rows) == ("done", settings, len(CHANGED[version]))


def test_contacts_not_logged_as_created_are_no_registrations(old: Context, version: str):
    migrate.upgrade(old.database)
    made = add_contact(old)
    assert exported_ids(old, settings_for(**around_now(), type="registrations")) == [made]
    assert exported_ids(old, settings_for(type="registrations")) == CREATED[version]


def test_triggers_of_a_table_under_a_view_log_after_the_upgrade(old: Context):
    execute(old, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
    migrate.upgrade(old.database)
    execute(old, "INSERT INTO customer (origin_kind, origin_id) VALUES ('form', 124)")
    assert len(exported_ids(old, settings_for(**around_now(), origin_ids=(124,)))) == 1


@pytest.mark.parametrize("version", ["0001"])
def test_upgrade_does_not_wait_long_for_readers_of_the_log(old: Context):
    """Writers of contacts would queue behind it."""
    with other_session(old, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        with pytest.raises(LogInUse, match="in use by an export, a request or a writer: nothing was upgraded"):
            migrate.upgrade(old.database)
    assert migrate.current_version(old.database) == "0001"
    migrate.upgrade(old.database)
    migrate.check(old.database)


@pytest.mark.parametrize("version", ["0009"])
def test_upgrade_does_not_wait_long_for_readers_of_exports(old: Context):
    """All requests and workers would queue behind it."""
    with other_session(old, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM export")
        with pytest.raises(LogInUse, match="table of exports is in use by an export, a request"):
            migrate.upgrade(old.database)
    migrate.upgrade(old.database)
    migrate.check(old.database)


def test_upgrade_keeps_the_end_of_the_last_window(old: Context):
    """Changes after the upgrade are not dated before the end of the last window."""
    migrate.upgrade(old.database)
    ahead = datetime.now(UTC).timestamp() + 3600
    execute(old, "SELECT setval('contact_change_read', %s)", (round(ahead * 1_000_000),))
    contact = add_contact(old)
    logged = execute(old, "SELECT changed_at FROM contact_change WHERE contact_id = %s", (contact,))
    assert logged[0]["changed_at"].timestamp() == pytest.approx(ahead)
