"""The upgrade creates the schema once. An older or newer schema than the program's is refused."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.script import ScriptDirectory
from psycopg2.errors import UndefinedTable

from contactexport.context import Context
from contactexport.db import migrate, migration_steps, version_record
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, SchemaMismatch
from tests.support.empty_databases import UPGRADE, empty_database
from tests.support.exporting import context_with


@pytest.fixture
def empty(context: Context, database_name: str) -> Iterator[Context]:
    """A context with an empty database."""
    with empty_database(context, f"{database_name}_empty") as made:
        yield made


def set_version(context: Context, version: str) -> None:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("UPDATE contactexport_version SET version_num = %s", (version,))


def test_upgrade_creates_the_schema_once(empty: Context):
    assert migrate.current_version(empty.database) is None
    with pytest.raises(SchemaMismatch, match=r"is at nothing, (\d{4}) expected: run `flask db upgrade`"):
        migrate.check(empty.database)
    before, after = migrate.upgrade(empty.database)
    assert before is None
    assert migrate.upgrade(empty.database) == (after, after)
    assert migrate.current_version(empty.database) == after
    migrate.check(empty.database)


def test_processes_can_upgrade_at_the_same_time(empty: Context):
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, empty.database.url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = sorted(process.communicate()[0].split()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert told.count("None") == 1
    migrate.check(empty.database)


def test_failed_migration_leaves_nothing_behind(empty: Context):
    with empty.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE export (id integer)")
    with pytest.raises(Exception, match="export"):
        migrate.upgrade(empty.database)
    assert migrate.current_version(empty.database) is None
    with empty.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("DROP TABLE export")
    migrate.upgrade(empty.database)
    migrate.check(empty.database)


def test_newer_schema_is_refused_and_not_changed(context: Context):
    set_version(context, "9999")
    for act in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaMismatch, match=r"is at 9999, newer than this program's \d{4}: install the newer"):
            act(context.database)
    assert migrate.current_version(context.database) == "9999"


def test_older_schema_is_refused_with_the_remedy(context: Context):
    set_version(context, "0000")
    with pytest.raises(SchemaMismatch, match=r"is at 0000, \d{4} expected: run `flask db upgrade`"):
        migrate.check(context.database)


def test_version_table_without_a_version_counts_as_empty(context: Context):
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("DELETE FROM contactexport_version")
    assert migrate.current_version(context.database) is None


def test_upgrade_without_a_database_raises_unavailable(context: Context):
    nowhere = context_with(context, database_url="postgresql://root@127.0.0.1:1/none")
    for act in (migrate.upgrade, migrate.check):
        with pytest.raises(DatabaseUnavailable):
            act(nowhere.database)


def test_template_finds_a_name_only_with_its_schema(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "9000_new.py"
    with context.database.transaction() as conn:
        bind = SimpleNamespace(connection=SimpleNamespace(driver_connection=conn))
        monkeypatch.setattr(migration_steps, "op", SimpleNamespace(get_bind=lambda: bind))
        script.with_suffix(".sql").write_text("CREATE TABLE {schema}.made (id bigint REFERENCES {schema}.api_user)")
        migration_steps.run_template(str(script))
        assert queries("schema").current(conn) == "public"
        for name in ("api_user", "made"):
            script.with_suffix(".sql").write_text(f"ALTER TABLE {name} ADD COLUMN x text")
            with conn.cursor() as cursor:
                cursor.execute("SAVEPOINT before")
            with pytest.raises(UndefinedTable):
                migration_steps.run_template(str(script))
            with conn.cursor() as cursor:
                cursor.execute("ROLLBACK TO before")


def test_versions_found_by_their_names_are_those_that_alembic_runs():
    scripts = list(ScriptDirectory(str(version_record.MIGRATIONS)).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == list(version_record.known_versions())


def test_start_of_a_process_does_not_import_what_only_an_upgrade_needs():
    asked = "import sys, contactexport.worker.app; print({'alembic', 'sqlalchemy', 'sqlglot'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", asked], stdout=subprocess.PIPE, text=True, check=True)
    assert found.stdout == "set()\n"
