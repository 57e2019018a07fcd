"""An export has all rows of a table that is rewritten or reloaded meanwhile.

To a snapshot that is older than an ALTER TABLE or TRUNCATE the table is empty: Postgres does not keep the old rows for
it (PostgreSQL manual, Concurrency Control, Caveats).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contactexport.context import Context
from tests.support.exporting import (
    add_contact,
    around_now,
    context_with,
    execute,
    export_file,
    other_session,
    settings_for,
)

REWRITE = "ALTER TABLE contact ALTER COLUMN gender TYPE bigint"
LOAD_ANEW = """
CREATE TEMPORARY TABLE kept AS SELECT * FROM {table};
TRUNCATE {table};
INSERT INTO {table} SELECT * FROM kept;
"""


def wait_until_kept_waiting(context: Context) -> None:
    """Until some session waits for a lock on a table."""
    for _ in range(500):
        if execute(context, "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'relation'"):
            return
        time.sleep(0.01)
    pytest.fail("the export does not wait")


def exported_while(context: Context, statements: str, **changes: Any) -> list[list[str]]:
    """The cells of an export that meets an open transaction with these statements, which then commits."""
    impatient, settings = context_with(context, writers_wait=0.1), settings_for(**around_now() | changes)
    with other_session(context, autocommit=False) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as worker:
        cursor.execute(statements)
        running = worker.submit(export_file, impatient, settings)
        wait_until_kept_waiting(context)
        other.commit()
        return [line.split(",") for line in running.result().decode().splitlines()]


@pytest.mark.parametrize("statements", [REWRITE, LOAD_ANEW.format(table="contact")], ids=["rewritten", "loaded anew"])
def test_export_waits_for_a_rewrite_and_has_its_rows(context: Context, statements: str):
    contacts = [add_contact(context) for _ in range(3)]
    assert [int(line[0]) for line in exported_while(context, statements)] == contacts


def test_tables_under_a_view_are_locked(context: Context):
    contacts = [add_contact(context) for _ in range(3)]
    execute(context, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
    lines = exported_while(context, LOAD_ANEW.format(table="customer"))
    assert [int(line[0]) for line in lines] == contacts


def test_labels_of_a_rewritten_table_are_exported(context: Context):
    add_contact(context, gender=1)
    rewrite = "ALTER TABLE contact_field_choice ALTER COLUMN id TYPE bigint"
    assert [line[1] for line in exported_while(context, rewrite, contact_fields=(5,))] == ["Male"]
