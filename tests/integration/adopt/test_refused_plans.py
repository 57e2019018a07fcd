"""What cannot be adopted is refused in one line that names it, and nothing is done."""

import dataclasses

import psycopg2
import pytest

from contactexport.adopt import capture, prove
from contactexport.adopt.apply import apply
from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan
from contactexport.context import Context
from contactexport.errors import ContactExportError, NotCaptured, UsageError
from tests.support.logged import forget_log, logged, prepare, run

TABLES = """
    CREATE TABLE customer (
        no integer PRIMARY KEY, form integer, name text, attribs jsonb NOT NULL DEFAULT '{}', twice integer, code text
    );
    CREATE TABLE country (code text PRIMARY KEY, name text);
    CREATE TABLE setting (title text, value text);
    INSERT INTO customer VALUES (1, 5, 'Ann', '{"age": "x"}', 7, 'at'), (2, 5, 'Bob', '{"age": "41"}', 7, 'at');
    INSERT INTO country VALUES ('at', 'Austria');
"""
NAME = FieldMapping(1, "First Name", "shorttext", "first_name", "name")
PLAN = Plan("customer", "no", (NAME,), origin=OriginRule(expression="form"))


def view(select: str) -> Plan:
    return Plan("", "id", (NAME,), view=select)


ORIGIN = "'form'::text AS origin_kind, 1 AS origin_id"
REFUSED = {
    "no table": (dataclasses.replace(PLAN, table="nobody"), "nobody.no is no key"),
    "no unique key": (dataclasses.replace(PLAN, key="twice"), "customer.twice is no key"),
    "no column": (
        dataclasses.replace(PLAN, fields=(dataclasses.replace(NAME, expression="nme"),)),
        'Postgres refuses the SELECT: column "nme" does not exist',
    ),
    "no SQL": (dataclasses.replace(PLAN, where="((name"), "The condition .* cannot be read as SQL"),
    "two mappings for one column": (
        dataclasses.replace(PLAN, fields=(NAME, NAME)),
        "column first_name is there already",
    ),
    "text key": (Plan("country", "code", (NAME,)), "The key is of type text"),
    "no equality": (
        dataclasses.replace(PLAN, joins=(Join("setting", "setting.title = 'x'"),), where="setting.value IS NULL"),
        "public.setting: no equality leads from its rows",
    ),
    "now": (
        dataclasses.replace(PLAN, where="now() > '2020-01-01'"),
        r"The SELECT calls now\(\), current_date or the like",
    ),
    "today": (
        dataclasses.replace(PLAN, where="current_date > '2020-01-01'"),
        r"The SELECT calls now\(\), current_date or the like",
    ),
    "repeated id": (view(f"SELECT twice AS id, {ORIGIN}, name AS first_name FROM customer"), "7 is there 2 times"),
    "no id": (view(f"SELECT no, {ORIGIN}, name AS first_name FROM customer"), "no column id"),
    "no origin": (view("SELECT no AS id, name AS first_name FROM customer"), "The column origin_kind .* is missing"),
    "no field": (view(f"SELECT no AS id, {ORIGIN} FROM customer"), "Field 1: the SELECT has no column first_name"),
    "full join": (
        view(f"SELECT no AS id, {ORIGIN}, c.name AS first_name FROM customer c FULL JOIN country k ON k.code = c.code"),
        "FULL JOIN cannot be watched",
    ),
    "not in": (
        view(
            f"SELECT no AS id, {ORIGIN}, name AS first_name FROM customer WHERE code NOT IN (SELECT code FROM country)"
        ),
        "write it as NOT EXISTS",
    ),
    "limit": (view(f"SELECT no AS id, {ORIGIN}, name AS first_name FROM customer LIMIT 5"), "LIMIT cannot be watched"),
    "rank of all": (
        view(f"SELECT no AS id, {ORIGIN}, rank() OVER (ORDER BY name) AS first_name FROM customer"),
        "cannot be watched: PARTITION BY",
    ),
    "materialized": (
        view(f"SELECT no AS id, {ORIGIN}, name AS first_name FROM stored"),
        "public.stored is a materialized view",
    ),
}


@pytest.fixture
def tables(context: Context) -> Context:
    """Two customers and what else there is."""
    prepare(context, TABLES + "CREATE MATERIALIZED VIEW stored AS SELECT * FROM customer")
    return context


def state(context: Context) -> list[object]:
    with context.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT oid::regclass::text AS name, relkind FROM pg_class ORDER BY oid")
        relations = cursor.fetchall()
        cursor.execute("SELECT tgname FROM pg_trigger ORDER BY oid")
        return [relations, cursor.fetchall()]


@pytest.mark.parametrize(("plan", "said"), REFUSED.values(), ids=list(REFUSED))
def test_plan_that_does_not_fit_is_refused_and_nothing_done(tables: Context, plan: Plan, said: str):
    before = state(tables)
    with pytest.raises(ContactExportError, match=said) as told:
        apply(tables, plan)
    assert "\n" not in told.value.text
    assert state(tables) == before


def test_taken_field_is_refused(tables: Context):
    run(
        tables,
        "INSERT INTO contact_field (id, name, application_type, column_name) VALUES (1, 'Mine', 'shorttext', 'x')",
    )
    with pytest.raises(ContactExportError, match="Field 1 is in the catalogue already: Mine"):
        apply(tables, PLAN)


def test_own_contacts_are_not_replaced(tables: Context):
    run(tables, "INSERT INTO contact (email) VALUES ('a@x.at')")
    with pytest.raises(ContactExportError, match=r"own table public\.contact has contacts"):
        apply(tables, PLAN)


def test_locked_table_is_named(tables: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("contactexport.adopt.locks.LOCK_SECONDS", 0.5)
    with psycopg2.connect(tables.contacts.url) as other, other.cursor() as cursor:
        cursor.execute("UPDATE customer SET name = 'x' WHERE no = 1")
        before = state(tables)
        with pytest.raises(ContactExportError, match=r"customer is locked by .* nothing was done"):
            apply(tables, PLAN)
        assert state(tables) == before
    other.close()


def test_column_whose_changes_would_not_be_logged_is_named(tables: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(capture, "_columns_differ", lambda _one, _columns: [capture.sql.SQL("false")])
    before = state(tables)
    with pytest.raises(NotCaptured, match=r"public\.customer\.name: a change would not be logged"):
        apply(tables, PLAN)
    assert state(tables) == before


def test_what_is_not_proven_is_told(tables: Context):
    run(tables, "CREATE TABLE empty (customer_no integer PRIMARY KEY, city text)")
    joined = dataclasses.replace(
        PLAN,
        joins=(Join("empty", "empty.customer_no = customer.no"),),
        fields=(NAME, FieldMapping(11, "City", "shorttext", "city", "empty.city")),
    )
    assert apply(tables, joined).unproven == ("public.empty: no row leads to a contact yet",)
    assert prove.ROWS_TRIED > 0


def test_value_that_fails_is_empty_and_told_and_breaks_nobody(tables: Context):
    age = FieldMapping(106540, "Age", "shorttext", "age", "(attribs->>'age')::int")
    apply(tables, dataclasses.replace(PLAN, fields=(NAME, age)))
    run(tables, """UPDATE customer SET attribs = '{"age": "old"}' WHERE no = 2""")
    with tables.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT id, age FROM contact ORDER BY id")
        assert [tuple(row.values()) for row in cursor.fetchall()] == [(1, None), (2, None)]
        cursor.execute("SELECT id, column_name FROM contact_unreadable ORDER BY id")
        assert [tuple(row.values()) for row in cursor.fetchall()] == [(1, "age"), (2, "age")]
    assert logged(tables) == [("2", "form", 5, "u")]


def test_condition_and_origin_that_fail_break_nobody(tables: Context):
    rule = OriginRule(expression="(attribs->>'age')::int")
    apply(tables, dataclasses.replace(PLAN, origin=rule, where="(attribs->>'age')::int > 40 OR no = 1"))
    forget_log(tables)
    run(tables, """UPDATE customer SET attribs = '{"age": "old"}'""")
    assert ("2", "form", 41, "d") in logged(tables)
    run(tables, """UPDATE customer SET attribs = '{"age": "99999999999"}'""")


def test_origin_of_a_users_view_is_never_null_in_the_log(tables: Context):
    apply(
        tables,
        view("SELECT no AS id, name AS kind, code AS origin_kind, form AS origin_id, name AS first_name FROM customer"),
    )
    run(tables, "UPDATE customer SET name = 'x', form = NULL; INSERT INTO customer (no) VALUES (9)")
    assert {entry[1:3] for entry in logged(tables)} == {("api", 0)}


def test_first_export_logs_every_contact_once(tables: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("contactexport.adopt.first_export.BATCH", 1)
    told = []
    applied = apply(tables, PLAN, first_export=True, progress=lambda what, done: told.append((what, done)))
    assert applied.logged == 2
    assert told[-2:] == [("first export", 1), ("first export", 2)]
    assert logged(tables) == [("1", "form", 5, "u"), ("2", "form", 5, "u")]


def test_origins_are_named_and_new_ones_are_known(tables: Context):
    run(tables, "CREATE TABLE forms (id integer PRIMARY KEY, name text); INSERT INTO forms VALUES (5, 'Signup')")
    apply(tables, dataclasses.replace(PLAN, origin=OriginRule(expression="form", names=("forms", "id", "name"))))
    run(tables, "INSERT INTO forms VALUES (6, 'Fair'); UPDATE forms SET name = 'Sign up' WHERE id = 5")
    run(tables, "INSERT INTO customer (no, form) VALUES (3, 8); DELETE FROM forms WHERE id = 6")
    with tables.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT kind, id, name FROM origin ORDER BY id")
        names = [tuple(row.values()) for row in cursor.fetchall()]
    assert names == [("form", 5, "Sign up"), ("form", 6, "Fair"), ("form", 8, "form 8")]


def test_virtual_generated_column_is_refused(context: Context):
    """Postgres before 18 has none."""
    with context.database.transaction() as conn, conn.cursor() as cursor:
        if conn.server_version < 180000:
            pytest.skip("no virtual generated columns")
        cursor.execute("CREATE TABLE person (id int PRIMARY KEY, f text, name text GENERATED ALWAYS AS (upper(f)))")
    name = FieldMapping(1, "First Name", "shorttext", "first_name", "person.name")
    with pytest.raises(UsageError, match=r"person\.name is a virtual generated column: use what it is made of"):
        apply(context, Plan("public.person", "id", (name,)))


def test_names_and_texts_with_percent_signs_are_adopted(context: Context):
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute('DELETE FROM contact_field; CREATE TABLE "100%s" (id int PRIMARY KEY, "50%" text)')
        cursor.execute("""INSERT INTO "100%s" VALUES (1, '5%s'), (2, 'x')""")
    name = FieldMapping(1, "First Name", "shorttext", "first_name", '"50%"')
    applied = apply(context, Plan('public."100%s"', "id", (name,), where="""coalesce("50%", '') <> '%s%(x)s'"""))
    assert applied.tables == ("public.100%s",)


def test_key_is_found_by_its_text(tables: Context):
    run(tables, "CREATE TABLE old (ref text, city text); INSERT INTO old VALUES ('1', 'Graz'), ('x', 'Linz')")
    city = FieldMapping(11, "City", "shorttext", "city", "old.city")
    plan = dataclasses.replace(PLAN, joins=(Join("old", "old.ref = customer.no::text"),), fields=(NAME, city))
    assert apply(tables, plan).unproven == ()
    run(
        tables,
        "UPDATE old SET city = 'Wien'; UPDATE old SET ref = '2' WHERE ref = '1'; INSERT INTO old VALUES ('x', 'y')",
    )
    assert {entry[0] for entry in logged(tables)} == {"1", "2"}


FUNCTIONS = """
    CREATE FUNCTION strict_name(text) RETURNS varchar(9) IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN ASSERT $1 IS NOT NULL, 'no name'; RETURN upper($1); END $$;
    CREATE FUNCTION loud_name(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN IF $1 IS NULL THEN RAISE 'no name'; END IF; RETURN upper($1); END $$;
"""
ODD_FUNCTION = """
    CREATE FUNCTION odd(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN ASSERT false, E'a\\nb'; END $$
"""


@pytest.mark.parametrize("function", ["strict_name", "loud_name"])
def test_function_that_fails_for_null_is_adopted(tables: Context, function: str):
    run(tables, FUNCTIONS)
    name = dataclasses.replace(NAME, expression=f"public.{function}(name)")
    assert apply(tables, dataclasses.replace(PLAN, fields=(name,))).unproven == ()
    with tables.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT first_name FROM contact ORDER BY id")
        assert [row["first_name"] for row in cursor.fetchall()] == ["ANN", "BOB"]


def test_statement_of_ours_that_postgres_refuses_ends_the_adoption(tables: Context, monkeypatch: pytest.MonkeyPatch):
    """Even if no row leads to a contact: whoever writes the table later would get the error."""
    run(tables, "TRUNCATE customer")
    monkeypatch.setattr(capture, "_columns_differ", lambda _one, _columns: [capture.sql.SQL("n.nothing")])
    before = state(tables)
    with pytest.raises(
        UsageError, match=r"public\.customer: its changes cannot be logged, .* n\.nothing does not exist"
    ):
        apply(tables, PLAN)
    assert state(tables) == before


def test_whatever_postgres_refuses_is_one_line(tables: Context):
    run(tables, ODD_FUNCTION)
    before = state(tables)
    with pytest.raises(ContactExportError, match="The database refuses the query: a b") as told:
        apply(tables, dataclasses.replace(PLAN, where="public.odd(name)"))
    assert "\n" not in told.value.text
    assert state(tables) == before
