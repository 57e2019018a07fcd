"""`release` takes away all that adopting has made."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from contactexport.adopt.apply import apply, statements
from contactexport.adopt.release import release
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.errors import ContactExportError, DatabaseConflict, UsageError
from tests.support.adopted_schemas import SCHEMAS, AdoptedSchema
from tests.support.logged import prepare, run
from tests.support.served import wait_until
from tests.support.sql_rows import for_all_sessions, value

EVERYTHING = """
    SELECT 'relation ' || oid::regclass || relkind::text || relacl::text AS line FROM pg_class
    UNION ALL SELECT 'relation ' || oid::regclass || relkind::text FROM pg_class
    UNION ALL SELECT concat('column ', attrelid::regclass, attname, atttypid::regtype, attnotnull)
    FROM pg_attribute WHERE attnum > 0
    UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger
    UNION ALL SELECT 'function ' || oid::regprocedure || md5(prosrc) FROM pg_proc
    UNION ALL SELECT 'constraint ' || conrelid::regclass || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE conrelid > 0
    UNION ALL SELECT 'rule ' || pg_get_ruledef(oid) FROM pg_rewrite
    UNION ALL SELECT 'origin ' || o::text FROM origin AS o
    UNION ALL SELECT 'field ' || f::text FROM contact_field AS f
    ORDER BY 1
"""


def everything(context: Context) -> list[str]:
    with context.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute(EVERYTHING)
        return [row["line"] for row in cursor.fetchall() if row["line"] and "pg_toast" not in row["line"]]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_release_leaves_the_database_as_it_was(context: Context, schema: AdoptedSchema):
    prepare(context, schema.ddl + "; INSERT INTO origin VALUES ('form', 77, 'Mine')")
    before = everything(context)
    apply(context, schema.plan)
    assert everything(context) != before
    release(context)
    assert everything(context) == before
    migrate.check(context.contacts)
    assert migrate.differences(context.contacts) == []


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_adopting_again_takes_the_place_of_what_was_adopted(context: Context, schema: AdoptedSchema):
    prepare(context, schema.ddl)
    apply(context, schema.plan)
    before = everything(context)
    apply(context, schema.plan)
    assert everything(context) == before


def test_shown_statements_change_nothing(context: Context):
    schema = SCHEMAS["newsletter"]
    prepare(context, schema.ddl)
    before = everything(context)
    with context.contacts.session() as conn:
        shown = statements(conn, schema.plan)
    assert everything(context) == before
    assert any(one.startswith("CREATE TRIGGER") for one in shown)
    with context.contacts.transaction() as conn, conn.cursor() as cursor:
        for one in shown:
            if not one.startswith("--"):  # what sums up the rows of the catalogue
                cursor.execute(one)


def test_nothing_to_release_is_said(context: Context):
    with pytest.raises(UsageError, match="No table is adopted"):
        release(context)


def test_own_table_works_again_after_release(context: Context):
    prepare(context, SCHEMAS["shop"].ddl)
    apply(context, SCHEMAS["shop"].plan)
    release(context)
    run(context, "INSERT INTO contact (email) VALUES ('a@x.at')")
    with context.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT kind FROM contact_change")
        assert [row["kind"] for row in cursor.fetchall()] == ["c"]


def adopt_shop(context: Context) -> None:
    apply(context, SCHEMAS["shop"].plan)


@pytest.fixture
def adopted(context: Context) -> Context:
    """The shop is adopted."""
    prepare(context, SCHEMAS["shop"].ddl)
    adopt_shop(context)
    return context


@pytest.mark.parametrize("end", [release, adopt_shop])
def test_table_that_stays_locked_is_named_and_nothing_done(adopted: Context, monkeypatch: pytest.MonkeyPatch, end):
    monkeypatch.setattr("contactexport.adopt.release.LOCK_SECONDS", 0.2)
    monkeypatch.setattr("contactexport.adopt.locks.LOCK_SECONDS", 0.2)
    before = everything(adopted)
    with psycopg2.connect(adopted.contacts.url, application_name="nightly load") as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE customer IN ROW EXCLUSIVE MODE")
        with pytest.raises(
            ContactExportError, match=r"customer is locked by nightly load .process .* nothing was done"
        ):
            end(adopted)
        assert everything(adopted) == before
    other.close()


def test_victim_of_a_deadlock_has_done_nothing(adopted: Context):
    """The other session has what this one waits for, and then waits for what this one has."""
    before = everything(adopted)
    for_all_sessions(adopted.contacts, "SET deadlock_timeout = '3s'")
    with psycopg2.connect(adopted.contacts.url) as other, other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '1h'; LOCK TABLE customer_address IN ROW EXCLUSIVE MODE")
        with ThreadPoolExecutor() as pool:
            ending = pool.submit(release, adopted)
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            wait_until(lambda: value(adopted.contacts, waiting), "it waits for customer_address")
            locked = pool.submit(cursor.execute, "LOCK TABLE customer IN ROW EXCLUSIVE MODE")
            with pytest.raises(DatabaseConflict, match=r"deadlock detected\. Nothing was done: try again"):
                ending.result()
            locked.result()
    other.close()
    assert everything(adopted) == before
