"""Where a change cannot be told, the statement of its writer succeeds, and all whom it may concern are logged."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors

from contactexport.adopt import capture, check
from contactexport.adopt.apply import apply
from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan
from contactexport.context import Context
from contactexport.errors import UsageError
from tests.support.exporting import around_now, execute, exported_ids, settings_for
from tests.support.logged import forget_log, logged, prepare, run, write

TABLES = """
CREATE TABLE customer (id bigint PRIMARY KEY, form integer DEFAULT 1, name text);
CREATE TABLE profile (customer_id bigint PRIMARY KEY, city text);
CREATE TABLE bill (customer_id bigint, amount float8);
INSERT INTO customer (id, name) VALUES (1, 'Jo'), (2, 'Eve');
INSERT INTO profile VALUES (1, 'Linz');
"""
NAME, CITY = (
    FieldMapping(1, "Name", "shorttext", "name", "customer.name"),
    FieldMapping(11, "City", "shorttext", "city", "profile.city"),
)
JOINED = Plan(
    "customer",
    "id",
    (NAME, CITY),
    OriginRule(expression="form"),
    (Join("profile", "profile.customer_id = customer.id"),),
)
# A sum of floats that overflows stands in no function: it is over several rows.
SUMMED = Plan(
    "customer",
    "id",
    (NAME,),
    OriginRule(expression="form"),
    where=("coalesce((SELECT sum(bill.amount) FROM bill WHERE bill.customer_id = customer.id), 0) >= 0"),
)
POSSIBLE = [("1", "any", 0, "c"), ("1", "any", 0, "d")]


def adopted(context: Context, plan: Plan) -> Context:
    prepare(context, TABLES)
    apply(context, plan)
    forget_log(context)
    return context


def test_who_may_have_changed_or_gone_is_logged_of_any_origin(context: Context):
    adopted(context, SUMMED)
    write(context, "INSERT INTO bill VALUES (1, 1e308), (1, 1e308)")
    assert sorted(logged(context)) == POSSIBLE
    write(context, "DELETE FROM bill")
    forget_log(context)
    write(context, "INSERT INTO bill VALUES (1, 5)")
    assert ("1", "any", 0, "c") not in logged(context)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO bill VALUES (1, 1e308)",
        "UPDATE bill SET amount = 1.1e308 WHERE customer_id = 1",
        "TRUNCATE customer",
    ],
)
def test_each_kind_of_statement_succeeds(context: Context, statement: str):
    adopted(context, SUMMED)
    write(context, "INSERT INTO bill VALUES (1, 1e308), (1, 1e308)")
    forget_log(context)
    write(context, statement)
    assert set(POSSIBLE) <= set(logged(context))


def test_possible_change_is_exported_to_its_own_origin_only(context: Context):
    adopted(context, SUMMED)
    write(context, "INSERT INTO bill VALUES (1, 1e308), (1, 1e308); UPDATE bill SET amount = 1")
    run(context, "UPDATE contact_change SET origin_kind = 'any', origin_id = 0")
    for origin, ids in ((1, [1]), (2, [])):
        assert exported_ids(context, settings_for(origin_ids=(origin,), contact_fields=(1,), **around_now())) == ids


def test_possible_change_of_one_table_is_exported(context: Context):
    """Of a table that would tell everything by itself, if nothing could fail."""
    plan = Plan(
        "customer",
        "id",
        (NAME,),
        view=(
            "SELECT c.id, 'form' AS origin_kind, c.form AS origin_id, c.name FROM customer AS c,"
            " LATERAL (SELECT c.form AS number) AS v WHERE v.number * 1000000 > 0"
        ),
    )
    adopted(context, plan)
    write(context, "UPDATE customer SET form = 2147483647 WHERE id = 1")
    assert sorted(logged(context)) == POSSIBLE


def test_renamed_column_of_another_table_does_not_stop_writers(context: Context):
    adopted(context, SUMMED)
    run(context, "ALTER TABLE bill RENAME COLUMN amount TO cents")
    write(context, "UPDATE customer SET form = 2 WHERE id = 1")
    assert sorted(logged(context)) == POSSIBLE


def test_renamed_column_of_the_only_table_stops_no_writer_and_is_told(context: Context):
    """No other table has a part in its contacts, whose changes are told by their origin until then."""
    plan = Plan("customer", "id", (NAME,), OriginRule(expression="form"))
    adopted(context, plan)
    write(context, "UPDATE customer SET name = 'Joe' WHERE id = 1")
    assert logged(context) == [("1", "form", 1, "u")]
    forget_log(context)
    run(context, "ALTER TABLE customer RENAME COLUMN name TO given_name")
    write(context, "UPDATE customer SET given_name = 'Jo' WHERE id = 1; DELETE FROM customer WHERE id = 2")
    assert {("1", "any", 0, "c"), ("2", "form", 1, "d")} <= set(logged(context))
    for origin, ids in ((1, [1]), (2, [])):
        assert exported_ids(context, settings_for(origin_ids=(origin,), contact_fields=(1,), **around_now())) == ids
    [found] = check.check(context)
    assert found.what.startswith("changes of given_name of customer are not logged")
    renamed = dataclasses.replace(NAME, expression="customer.given_name")
    apply(context, dataclasses.replace(plan, fields=(renamed,)))
    assert check.check(context) == []


def test_renamed_column_of_the_table_that_names_origins_stops_no_writer(context: Context):
    prepare(context, TABLES + "CREATE TABLE form (no integer PRIMARY KEY, label text)")
    rule = OriginRule(expression="form", names=("form", "no", "label"))
    apply(context, Plan("customer", "id", (NAME,), rule))
    run(context, "ALTER TABLE form RENAME COLUMN label TO title")
    write(context, "INSERT INTO form VALUES (1, 'Newsletter')")
    assert [one.what for one in check.check(context) if one.what.startswith("INSERT of form could not be logged")]


def test_function_that_never_runs_is_refused(context: Context, monkeypatch: pytest.MonkeyPatch):
    """Though all whom a change may concern would be logged in its place."""
    monkeypatch.setattr(capture, "conjunction", lambda _conditions, _row: "nobody.knows")
    prepare(context, TABLES)
    with pytest.raises(UsageError, match=r"public\.customer: its changes cannot be logged.*nobody"):
        apply(context, Plan("customer", "id", (NAME,), OriginRule(expression="form")))


def test_function_that_fails_for_each_row_proves_nothing(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(capture, "conjunction", lambda _conditions, row: f"1 / ({row}.id - {row}.id) = 1")
    prepare(context, TABLES)
    unproven = apply(context, Plan("customer", "id", (NAME,), OriginRule(expression="form"))).unproven
    assert "public.customer.name: division by zero" in unproven


def test_view_that_is_dropped_does_not_stop_writers(context: Context):
    adopted(context, JOINED)
    run(context, "DROP VIEW contact")
    write(context, "UPDATE profile SET city = 'Graz'")
    assert logged(context) == [("1", "any", 0, "u")]


def test_statement_whose_keys_cannot_be_told_is_noted(context: Context):
    adopted(context, JOINED)
    run(context, "ALTER TABLE profile RENAME COLUMN customer_id TO owner")
    for _ in range(2):
        write(context, "UPDATE profile SET city = 'Graz'")
    assert logged(context) == []
    [found] = [one for one in check.check(context) if one.what.startswith("UPDATE of profile could not be logged")]
    assert "flask contacts adopt" in found.remedy
    assert "--first-export" in found.remedy
    with context.contacts.session(snapshot=True) as conn:
        assert f"Changes may be missing: {found.what}" in check.warnings(conn)
    apply(context, dataclasses.replace(JOINED, joins=(Join("profile", "profile.owner = customer.id"),)))
    assert check.check(context) == []


def test_failure_of_a_transaction_that_is_rolled_back_is_not_noted(context: Context):
    adopted(context, JOINED)
    run(context, "ALTER TABLE profile RENAME COLUMN customer_id TO owner")
    write(context, "BEGIN; UPDATE profile SET city = 'Graz'; ROLLBACK")
    assert not [one for one in check.check(context) if "could not be logged" in one.what]


def test_cancelled_statement_is_not_taken_for_a_failing_one(context: Context):
    adopted(context, JOINED)
    with pytest.raises(errors.QueryCanceled):
        blocked(context, "SET statement_timeout = '300ms'")
    with pytest.raises(errors.LockNotAvailable):
        blocked(context, "SET lock_timeout = '300ms'")
    assert logged(context) == []


def blocked(context: Context, settings: str) -> None:
    """Updates a profile while the log is locked."""
    with closing(psycopg2.connect(context.contacts.url)) as conn, conn.cursor() as cursor:
        cursor.execute("LOCK TABLE contact_change IN SHARE MODE")
        write(context, f"{settings}; UPDATE profile SET city = 'Graz'")


def test_deadlock_ends_one_of_two_writers(context: Context):
    """One waits for the log, which the other has locked, and has locked the row for which the other waits."""
    adopted(context, JOINED)
    with (
        closing(psycopg2.connect(context.contacts.url)) as one,
        closing(psycopg2.connect(context.contacts.url)) as other,
    ):
        first, second = one.cursor(), other.cursor()
        # The first one finds the deadlock.
        first.execute("SET deadlock_timeout = '2s'; SET statement_timeout = '60s'")
        one.commit()
        second.execute("SET deadlock_timeout = '30s'; SET statement_timeout = '60s'")
        second.execute("LOCK TABLE contact_change IN SHARE MODE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(attempt, one, "UPDATE profile SET city = 'Graz'")
            wait_until_blocked(context, one.info.backend_pid)
            assert attempt(other, "UPDATE profile SET city = 'Wels'") is None
            assert waiting.result() is errors.DeadlockDetected
    assert logged(context) == [("1", "form", 1, "u")]


def attempt(conn: psycopg2.extensions.connection, statement: str) -> type[psycopg2.Error] | None:
    """Runs a statement and commits. Returns the error that ended it."""
    try:
        with conn, conn.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error as error:
        return type(error)
    return None


def wait_until_blocked(context: Context, pid: int) -> None:
    """Returns when a session waits for a lock."""
    for _ in range(500):
        if execute(context, "SELECT pid FROM pg_locks WHERE pid = %s AND NOT granted", (pid,)):
            return
        time.sleep(0.02)
    pytest.fail("the writer does not wait")
