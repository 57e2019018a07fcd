"""A table that is rewritten or loaded anew while an export runs is exported whole.

Postgres keeps none of the old rows for a snapshot that is older than an ALTER TABLE or TRUNCATE: to such a snapshot
the table is empty (PostgreSQL manual, Concurrency Control, Caveats).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from exporting import (
    add_contact,
    around_now,
    backend_with,
    execute,
    export_file,
    other_session,
    settings_for,
)

from contactexport.backend import Backend

REWRITE = "ALTER TABLE contact ALTER COLUMN gender TYPE bigint"
LOAD_ANEW = """
CREATE TEMPORARY TABLE kept AS SELECT * FROM {table};
TRUNCATE {table};
INSERT INTO {table} SELECT * FROM kept;
"""


def wait_until_kept_waiting(backend: Backend) -> None:
    """Until some session waits for a lock on a table."""
    for _ in range(500):
        if execute(backend, "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'relation'"):
            return
        time.sleep(0.01)
    pytest.fail("the export does not wait")


def exported_while(backend: Backend, statements: str, **changes: Any) -> list[list[str]]:
    """The values of a run that comes upon a transaction with these statements, which then commits."""
    impatient, settings = backend_with(backend, writers_wait=0.1), settings_for(**around_now() | changes)
    with other_session(backend, autocommit=False) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as worker:
        cursor.execute(statements)
        running = worker.submit(export_file, impatient, settings)
        wait_until_kept_waiting(backend)
        other.commit()
        return [line.split(",") for line in running.result().decode().splitlines()]


@pytest.mark.parametrize("statements", [REWRITE, LOAD_ANEW.format(table="contact")], ids=["rewritten", "loaded anew"])
def test_the_rows_of_a_table_in_the_hands_of_another_transaction_are_exported(backend: Backend, statements: str):
    contacts = [add_contact(backend) for _ in range(3)]
    assert [int(line[0]) for line in exported_while(backend, statements)] == contacts


def test_the_tables_below_a_view_are_held_as_well(backend: Backend):
    contacts = [add_contact(backend) for _ in range(3)]
    execute(backend, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
    lines = exported_while(backend, LOAD_ANEW.format(table="customer"))
    assert [int(line[0]) for line in lines] == contacts


def test_labels_of_a_rewritten_table_are_exported(backend: Backend):
    add_contact(backend, gender=1)
    rewrite = "ALTER TABLE contact_field_choice ALTER COLUMN id TYPE bigint"
    assert [line[1] for line in exported_while(backend, rewrite, contact_fields=(5,))] == ["Male"]
