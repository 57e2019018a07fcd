"""`flask contacts sample`: its output, what it refuses, and what a failure leaves behind."""

import functools
import re
from collections.abc import Iterator

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.db.connection import Database
from contactexport.embedded import sample_contacts, sample_pools
from contactexport.errors import UsageError
from tests.support.sql_rows import for_all_sessions, rows, value


@pytest.fixture(scope="module", autouse=True)
def _pools_made_once() -> Iterator[None]:
    """Saves 1.5 seconds per test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_pools, "make_pools", functools.cache(sample_pools.make_pools))
        yield


@pytest.fixture
def database(context: Context) -> Database:
    return context.contacts


def test_failing_batch_leaves_no_rows_and_trigger_enabled(database):
    rows(database, "ALTER TABLE contact ADD CONSTRAINT strict CHECK (origin_id <> 789)")
    with pytest.raises(psycopg2.errors.CheckViolation):
        sample_contacts.generate(database, 1000)
    assert value(database, "SELECT count(*) FROM contact") == 0
    assert value(database, "SELECT count(*) FROM contact_change") == 0
    rows(database, "INSERT INTO contact (last_name) VALUES ('Neu')")
    assert value(database, "SELECT count(*) FROM contact_change") == 1


def test_view_is_refused_and_catalogue_unchanged(database, runner):
    rows(database, "ALTER TABLE contact RENAME TO customer")
    rows(database, "CREATE VIEW contact AS SELECT * FROM customer")
    rows(database, "UPDATE origin SET name = 'mine'")
    result = runner.invoke(args=["contacts", "sample", "--contacts", "10"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: `contact` is not an ordinary table")
    assert value(database, "SELECT count(*) FROM origin WHERE name <> 'mine'") == 0


def test_missing_table_is_named(database, runner):
    rows(database, "DROP TABLE contact CASCADE")
    result = runner.invoke(args=["contacts", "sample", "--contacts", "10"])
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: The table `contact` does not exist: run `flask db upgrade`\n",
    )


@pytest.fixture
def other_role(database: Database) -> Iterator[str]:
    name = f"reader_of_{value(database, 'SELECT current_database()')}"
    rows(database, f"CREATE ROLE {name}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    yield name
    rows(database, f"SET ROLE NONE; DROP OWNED BY {name}; DROP ROLE {name}")


def test_role_that_does_not_own_table_is_refused(database, other_role):
    with database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {other_role}")
        with pytest.raises(UsageError, match="another database user"):
            sample_contacts.sample_store.require_own_contact_table(conn)


def test_read_only_database_is_refused(database):
    with database.session(snapshot=True) as conn, pytest.raises(UsageError, match="read-only"):
        sample_contacts.sample_store.require_own_contact_table(conn)


def test_owner_without_superuser_can_make_contacts(database, other_role):
    rows(database, f"GRANT ALL ON SCHEMA public TO {other_role}")
    for table in ("contact", "contact_change", "contact_change_other"):
        rows(database, f"ALTER TABLE {table} OWNER TO {other_role}")
    for_all_sessions(database, f"SET role = {other_role}")
    assert value(database, "SELECT current_setting('is_superuser')") == "off"
    assert sample_contacts.generate(database, 10).contacts == 10


def test_command_prints_what_it_made(runner, database):
    result = runner.invoke(args=["contacts", "sample", "--contacts", "200", "--seed", "7"])
    assert result.exit_code == 0
    assert re.fullmatch(r"200 contacts, \d+ changes in \d+\.\d s \(\d+ contacts/s\)\n", result.stdout)
    assert result.stderr == ""
    assert value(database, "SELECT count(*) FROM contact") == 200


def test_zero_contacts_load_catalogue_only(runner, database):
    rows(database, "DELETE FROM contact_field")
    result = runner.invoke(args=["contacts", "sample", "--contacts", "0"])
    assert (result.exit_code, result.stdout.split(" in ")[0]) == (0, "0 contacts, 0 changes")
    assert value(database, "SELECT count(*) FROM contact_field") == 50
    assert value(database, "SELECT count(*) FROM contact") == 0


@pytest.mark.parametrize("number", ["-1", "many", ""])
def test_invalid_number_of_contacts_exits_with_2(runner, number):
    result = runner.invoke(args=["contacts", "sample", "--contacts", number])
    assert result.exit_code == 2
    assert "--contacts" in result.stderr


def test_help_shows_example(runner):
    result = runner.invoke(args=["contacts", "sample", "--help"])
    assert "flask contacts sample --contacts 100000 --seed 7" in result.stdout
