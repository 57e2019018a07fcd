"""The schema: made once, by whoever comes first, and told apart when it is older or newer than the program."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from empty_databases import empty_database
from exporting import backend_with
from psycopg2.errors import UndefinedTable

from contactexport.backend import Backend
from contactexport.db import migrate, migration_steps
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, SchemaMismatch

UPGRADE = """
import sys
from contactexport.db import migrate, migration_steps
from contactexport.db.connection import Database
print(*migrate.upgrade(Database(lambda: sys.argv[1])))
"""


@pytest.fixture
def empty(backend: Backend, database_name: str) -> Iterator[Backend]:
    """A backend for a database in which nothing has been made."""
    with empty_database(backend, f"{database_name}_empty") as made:
        yield made


def set_version(backend: Backend, version: str) -> None:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("UPDATE contactexport_version SET version_num = %s", (version,))


def test_an_empty_database_is_brought_up_once(empty: Backend):
    assert migrate.current_version(empty.database) is None
    with pytest.raises(SchemaMismatch, match=r"is at nothing, (\d{4}) expected: run `flask db upgrade`"):
        migrate.check(empty.database)
    before, after = migrate.upgrade(empty.database)
    assert before is None
    assert migrate.upgrade(empty.database) == (after, after)
    assert migrate.current_version(empty.database) == after
    migrate.check(empty.database)


def test_processes_at_once_do_not_disturb_each_other(empty: Backend):
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, empty.database.url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = sorted(process.communicate()[0].split()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert told.count("None") == 1
    migrate.check(empty.database)


def test_a_migration_that_fails_leaves_nothing(empty: Backend):
    with empty.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE export (id integer)")
    with pytest.raises(Exception, match="export"):
        migrate.upgrade(empty.database)
    assert migrate.current_version(empty.database) is None
    with empty.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("DROP TABLE export")
    migrate.upgrade(empty.database)
    migrate.check(empty.database)


def test_a_newer_schema_is_neither_used_nor_touched(backend: Backend):
    set_version(backend, "9999")
    for act in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaMismatch, match=r"is at 9999, newer than this program's \d{4}: install the newer"):
            act(backend.database)
    assert migrate.current_version(backend.database) == "9999"


def test_an_older_schema_is_told(backend: Backend):
    set_version(backend, "0000")
    with pytest.raises(SchemaMismatch, match=r"is at 0000, \d{4} expected: run `flask db upgrade`"):
        migrate.check(backend.database)


def test_a_version_table_without_a_version_is_an_empty_database(backend: Backend):
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("DELETE FROM contactexport_version")
    assert migrate.current_version(backend.database) is None


def test_without_a_database_the_upgrade_says_so(backend: Backend):
    nowhere = backend_with(backend, database_url="postgresql://root@127.0.0.1:1/none")
    for act in (migrate.upgrade, migrate.check):
        with pytest.raises(DatabaseUnavailable):
            act(nowhere.database)


def test_a_template_finds_a_name_only_with_its_schema(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script = tmp_path / "9000_new.py"
    with backend.database.transaction() as conn:
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
