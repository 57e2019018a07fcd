"""A subquery that may find two rows for one value is refused, since it would fail once there are two."""

import pytest

from contactexport.adopt.apply import apply
from contactexport.adopt.models import FieldMapping, OriginRule, Plan
from contactexport.context import Context
from contactexport.errors import UsageError
from tests.support.logged import prepare

TABLES = """
CREATE TABLE customer (id bigint PRIMARY KEY, country varchar(2));
CREATE TABLE phone (customer_id bigint, kind varchar(5), phone text);
CREATE UNIQUE INDEX ON phone (customer_id, kind);
CREATE TABLE country (code varchar(2) PRIMARY KEY, region_id integer);
CREATE TABLE region (id integer PRIMARY KEY, name text);
CREATE TABLE setting (customer_id bigint NOT NULL, name text, value text, number integer NOT NULL);
INSERT INTO customer VALUES (1, 'at');
"""
OF_CUSTOMER = "FROM phone AS p WHERE p.customer_id = customer.id"
TAKEN = {
    "a unique index": f"(SELECT p.phone {OF_CUSTOMER} AND p.kind = 'home')",
    "an aggregate": f"(SELECT max(p.phone) {OF_CUSTOMER})",
    "an aggregate that is no standard": f"(SELECT jsonb_agg(p.phone) {OF_CUSTOMER})::text",
    "LIMIT 1": f"(SELECT p.phone {OF_CUSTOMER} ORDER BY p.kind LIMIT 1)",
    "a chain of keys": "(SELECT r.name FROM country AS c JOIN region AS r ON r.id = c.region_id"
    " WHERE c.code = customer.country)",
    "EXISTS": f"CASE WHEN EXISTS (SELECT {OF_CUSTOMER}) THEN 1 END",
    "an array": f"ARRAY(SELECT p.phone {OF_CUSTOMER})::text",
    "a key that is given": "(SELECT jsonb_object_agg(s.number, s.value) FROM setting AS s"
    " WHERE s.customer_id = customer.id)::text",
    "a key that is filtered": "(SELECT jsonb_object_agg(s.name, s.value) FILTER (WHERE s.name IS NOT NULL)"
    " FROM setting AS s WHERE s.customer_id = customer.id)::text",
}
PHONE = r"may find two rows of public\.phone"
REFUSED = {
    "half of a unique index": (f"(SELECT p.phone {OF_CUSTOMER})", PHONE),
    "groups": (f"(SELECT max(p.phone) {OF_CUSTOMER} GROUP BY p.kind)", PHONE),
    "LIMIT 2": (f"(SELECT p.phone {OF_CUSTOMER} LIMIT 2)", PHONE),
    "a join of several": (
        "(SELECT r.name FROM region AS r JOIN country AS c ON c.region_id = r.id WHERE r.id = customer.id)",
        r"two rows of public\.country",
    ),
    "a window": (
        f"(SELECT max(p.phone) OVER (PARTITION BY p.customer_id) {OF_CUSTOMER})", PHONE,
    ),
    "a key that may be NULL": (
        "(SELECT jsonb_object_agg(s.name, s.value) FROM setting AS s WHERE s.customer_id = customer.id)::text",
        r"s\.name, may be NULL.*FILTER \(WHERE s\.name IS NOT NULL\)",
    ),
}  # fmt: skip


def plan(expression: str) -> Plan:
    return Plan("customer", "id", (FieldMapping(100000, "Value", "shorttext", "value", expression),), OriginRule())


@pytest.mark.parametrize("how", TAKEN)
def test_subquery_with_one_row_is_taken(context: Context, how: str):
    prepare(context, TABLES)
    apply(context, plan(TAKEN[how]))


@pytest.mark.parametrize("how", REFUSED)
def test_subquery_that_may_find_two_rows_is_refused(context: Context, how: str):
    prepare(context, TABLES)
    expression, message = REFUSED[how]
    with pytest.raises(UsageError, match=message):
        apply(context, plan(expression))
