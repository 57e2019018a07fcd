"""An expression that fails for a value breaks neither the statement of a writer nor an export, and loses no change."""

import pytest

from contactexport.adopt.apply import apply
from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan
from contactexport.context import Context
from contactexport.exports import deliver, status
from contactexport.exports.models import ALL_TIME
from tests.support.exporting import request, run, settings_for
from tests.support.logged import forget_log, logged, prepare, write

TABLES = r"""
CREATE DOMAIN brief AS text CHECK (length(VALUE) < 6);
CREATE TYPE mood AS ENUM ('well', 'ill');
CREATE FUNCTION strict_name(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF $1 = 'bad' THEN RAISE EXCEPTION 'no such name' USING ERRCODE = 'undefined_table'; END IF;
    RETURN upper($1);
END $$;
CREATE TABLE customer (
    id bigint PRIMARY KEY, form bigint DEFAULT 1, visits integer DEFAULT 1, price numeric DEFAULT 1,
    zone text DEFAULT 'UTC', words text[] DEFAULT '{{a,b}}', seen timestamp DEFAULT '2020-01-01', note text DEFAULT 'a',
    attribs jsonb DEFAULT '{"mood": "well"}'
);
CREATE TABLE profile (customer_id bigint PRIMARY KEY, city text);
INSERT INTO customer (id) VALUES (1), (2);
"""
WARNING = "1 contacts have an empty cell in value: the value cannot be computed, such as that of contact 2"
# An expression, and an assignment that makes it fail.
KINDS = {
    "scale of a number": ("(price)::numeric(5,2)", "price = 100000"),
    "arithmetic": ("visits * 1000", "visits = 2147483647"),
    "negation": ("-visits", "visits = -2147483648"),
    "division by zero": ("100 / visits", "visits = 0"),
    "narrower number": ("(price)::bigint", "price = 1e30"),
    "dimensions of arrays": ("words || ARRAY[ARRAY['c', 'd']]", "words = '{{a},{b}}'"),
    "array of arrays": ("ARRAY[words, ARRAY[ARRAY['c', 'd']]]", "words = '{{a},{b}}'"),
    "time zone": ("(seen AT TIME ZONE zone)::text", "zone = 'Nowhere'"),
    "domain": ("(note)::brief::text", "note = 'too long'"),
    "enum": ("(attribs ->> 'mood')::mood::text", "attribs = '{\"mood\": \"odd\"}'"),
    "limit of the program": ("repeat(note, visits)", "note = 'abc', visits = 1000000000"),
    "syntax error while it runs": ("to_tsquery('simple', note)::text", "note = 'a b'"),
    "pattern": ("note LIKE zone", "zone = '\\'"),
    "function of the user": ("strict_name(note)", "note = 'bad'"),
}  # fmt: skip


def plan(expression: str, *, joined: bool, **more: object) -> Plan:
    fields = (FieldMapping(100000, "Value", "shorttext", "value", expression),)
    joins = (Join("profile", "profile.customer_id = customer.id"),) if joined else ()
    if joined:
        fields += (FieldMapping(11, "City", "shorttext", "city", "profile.city"),)
    return Plan("customer", "id", fields, OriginRule(expression="form"), joins, **more)  # type: ignore[arg-type]


def exported(context: Context, origin_id: int = 1) -> tuple[list[str], list[str]]:
    """The lines of an export of all contacts, without their time, and its warnings."""
    settings = settings_for(
        start=ALL_TIME[0], end=ALL_TIME[1], type="full", origin_ids=(origin_id,), contact_fields=(100000,)
    )
    export = run(context, request(context, settings))
    assert export.status == "done", export.error
    lines = deliver.stored_file(context, export).read_text(encoding="utf-8").splitlines()
    return [line.rpartition(",")[0] for line in lines], status.payload(context, export).get("warnings", [])


@pytest.mark.parametrize("joined", [False, True], ids=["one table", "joined"])
@pytest.mark.parametrize("kind", KINDS)
def test_failing_value_is_logged_and_an_empty_cell_with_a_warning(context: Context, kind: str, joined: bool):
    expression, assignment = KINDS[kind]
    prepare(context, TABLES)
    apply(context, plan(expression, joined=joined))
    forget_log(context)
    write(context, f"UPDATE customer SET {assignment} WHERE id = 2")
    assert logged(context) == [("2", "form", 1, "u")]
    lines, warnings = exported(context)
    assert [line.partition(",")[0] for line in lines] == ["1", "2"]
    assert not lines[0].endswith(",")
    assert lines[1] == "2,"
    assert warnings == [WARNING]


# SELECTs of users in which the expression stands deeper.
VIEWS = {
    "a subquery": "SELECT v.id, 'form' AS origin_kind, v.form AS origin_id, v.value FROM"
    " (SELECT c.id, c.form::int, c.visits * 1000 AS value FROM customer AS c) AS v",
    "around a subquery": "SELECT v.id, 'form' AS origin_kind, v.form AS origin_id, v.visits * 1000 AS value FROM"
    " (SELECT c.id, c.form::int, c.visits FROM customer AS c) AS v",
    "a view": "SELECT v.id, 'form' AS origin_kind, v.form AS origin_id, v.value || '' AS value FROM thousands AS v",
    "a CTE": "WITH v AS (SELECT c.id, c.form::int, c.visits * 1000 AS value FROM customer AS c)"
    " SELECT v.id, 'form' AS origin_kind, v.form AS origin_id, v.value FROM v",
    "groups": "SELECT c.id, 'form' AS origin_kind, c.form::int AS origin_id, v.value FROM customer AS c JOIN"
    " (SELECT o.id, max(o.visits * 1000) AS value FROM customer AS o GROUP BY o.id) AS v ON v.id = c.id",
    "a subquery for one value": "SELECT c.id, 'form' AS origin_kind, c.form::int AS origin_id,"
    " (SELECT max(o.visits * 1000) FROM customer AS o WHERE o.id = c.id) AS value FROM customer AS c",
}


@pytest.mark.parametrize("place", VIEWS)
def test_failing_value_is_guarded_wherever_it_stands(context: Context, place: str):
    prepare(context, TABLES + "CREATE VIEW thousands AS SELECT id, form::int, visits * 1000 AS value FROM customer")
    fields = (FieldMapping(100000, "Value", "shorttext", "value", "value"),)
    apply(context, Plan("", "id", fields, view=VIEWS[place]))
    forget_log(context)
    write(context, "UPDATE customer SET visits = 2147483647 WHERE id = 2")
    assert ("2", "form", 1, "u") in logged(context)
    lines, warnings = exported(context)
    assert lines == ["1,1000", "2,"]
    assert warnings == [WARNING]


def test_origin_that_is_no_integer_is_api_0(context: Context):
    prepare(context, TABLES)
    apply(context, plan("note", joined=False))
    forget_log(context)
    write(context, "UPDATE customer SET form = 5000000000 WHERE id = 2")
    assert logged(context) == [("2", "api", 0, "u"), ("2", "form", 1, "m")]
    assert exported(context)[0] == ["1,a"]


def test_origin_of_an_unknown_kind_is_api_0(context: Context):
    prepare(context, TABLES)
    select = """
        SELECT c.id, CASE WHEN c.visits = 2 THEN 'web' ELSE 'form' END AS origin_kind,
               coalesce(c.form::int, c.visits - 3) AS origin_id, c.note AS value FROM customer AS c
    """
    fields = (FieldMapping(100000, "Value", "shorttext", "value", "value"),)
    apply(context, Plan("", "id", fields, view=select))
    forget_log(context)
    write(
        context,
        "UPDATE customer SET visits = 2 WHERE id = 2; UPDATE customer SET form = NULL, visits = NULL WHERE id = 1",
    )
    assert set(logged(context)) == {
        (key, *entry) for key in ("1", "2") for entry in (("api", 0, "u"), ("form", 1, "m"))
    }


def test_membership_of_a_list_whose_id_is_no_integer_is_none(context: Context):
    prepare(
        context,
        TABLES + "CREATE TABLE member (customer_id bigint, list_id bigint, PRIMARY KEY (customer_id, list_id));"
        "INSERT INTO member VALUES (1, 1), (2, 1)",
    )
    fields = (FieldMapping(100000, "Value", "shorttext", "value", "note"),)
    apply(context, Plan("customer", "id", fields, OriginRule(through=("member", "customer_id", "list_id"))))
    forget_log(context)
    write(
        context,
        "INSERT INTO member VALUES (1, 5000000000); UPDATE member SET list_id = 6000000000 WHERE customer_id = 2",
    )
    assert {("2", "api", 0, "u"), ("2", "form", 1, "m")} <= set(logged(context))
    assert exported(context)[0] == ["1,a"]


@pytest.mark.parametrize(
    ("kind", "value", "number"), [("numeric", "1e30", "1"), ("text", "'nobody'", "'1'"), ("numeric", "0.5", "1.00")]
)
def test_joined_key_that_is_no_key_is_nobodys(context: Context, kind: str, value: str, number: str):
    prepare(context, TABLES + f"CREATE TABLE phone (customer {kind} PRIMARY KEY, phone text)")
    fields = (FieldMapping(100000, "Value", "shorttext", "value", "phone.phone"),)
    condition = "phone.customer = customer.id" + ("::text" if kind == "text" else "")
    apply(context, Plan("customer", "id", fields, joins=(Join("phone", condition),)))
    forget_log(context)
    write(context, f"INSERT INTO phone VALUES ({value}, '123'); UPDATE phone SET phone = '124'; DELETE FROM phone")
    assert {one[0] for one in logged(context)} <= {"0", "1"}  # 0.5 is rounded
    forget_log(context)
    write(context, f"INSERT INTO phone VALUES ({number}, '123')")
    assert logged(context) == [("1", "api", 0, "u")]
