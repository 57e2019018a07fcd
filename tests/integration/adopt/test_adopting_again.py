"""Adopting again with another mapping logs who leaves by it and who comes, and what no trigger saw is told."""

import dataclasses

import psycopg2
import pytest

from contactexport.adopt import check as capture
from contactexport.adopt.apply import apply, statements
from contactexport.adopt.models import OriginRule, Plan
from contactexport.context import Context
from contactexport.errors import UsageError
from tests.support.adopted_schemas import NEWSLETTER, REGIONS
from tests.support.logged import forget_log, logged, prepare, run
from tests.support.two_transactions import CONSENT, SHAPES

CUSTOMERS = """
INSERT INTO customer (customer_no, signup_form, given_name, mail)
VALUES (1, 1, 'Ann', 'a@x.at'), (2, 2, 'Bob', 'b@x.at'), (3, NULL, 'Eve', 'e@x.at')
"""


@pytest.fixture
def regions(context: Context) -> Context:
    """Three customers in partitions, adopted."""
    prepare(context, REGIONS.ddl + CUSTOMERS)
    apply(context, REGIONS.plan)
    forget_log(context)
    return context


def again(context: Context, plan: Plan, **changes: object) -> list[tuple[str, str, int, str]]:
    apply(context, dataclasses.replace(plan, **changes))
    return sorted(logged(context))


def test_the_same_mapping_logs_nothing(regions: Context):
    assert again(regions, REGIONS.plan) == []


def test_narrower_condition_logs_who_leaves(regions: Context):
    assert again(regions, REGIONS.plan, where="customer_no < 3") == [("3", "api", 0, "d")]


def test_wider_condition_logs_who_comes(regions: Context):
    again(regions, REGIONS.plan, where="customer_no = 1")
    forget_log(regions)
    assert again(regions, REGIONS.plan) == [("2", "form", 2, "c"), ("3", "api", 0, "c")]


def test_other_origins_log_who_moves(regions: Context):
    assert again(regions, REGIONS.plan, origin=OriginRule(expression="2")) == [
        ("1", "form", 1, "m"),
        ("1", "form", 2, "u"),
        ("3", "api", 0, "m"),
        ("3", "form", 2, "u"),
    ]


def test_memberships_in_the_place_of_one_origin_log_those_that_differ(context: Context):
    prepare(
        context,
        NEWSLETTER.ddl + "INSERT INTO lists (name) VALUES ('News'); INSERT INTO subscribers (email, name)"
        " VALUES ('a@x.at', 'Ann'), ('b@x.at', 'Bob'); INSERT INTO subscriber_lists VALUES (1, 1)",
    )
    apply(context, dataclasses.replace(NEWSLETTER.plan, origin=OriginRule()))
    forget_log(context)
    assert again(context, NEWSLETTER.plan) == [("1", "api", 0, "m"), ("1", "form", 1, "u")]
    forget_log(context)
    assert again(context, NEWSLETTER.plan, origin=OriginRule()) == [("1", "api", 0, "u"), ("1", "form", 1, "m")]


def test_shown_statements_have_the_difference_and_log_nothing(regions: Context):
    with regions.contacts.session() as conn:
        shown = statements(conn, dataclasses.replace(REGIONS.plan, where="customer_no < 3"))
    assert any("contact_removal" in one and "FULL JOIN" in one for one in shown)
    assert logged(regions) == []


def test_former_contacts_that_cannot_be_read_are_said(regions: Context):
    run(
        regions,
        "CREATE OR REPLACE VIEW contact AS SELECT (customer_no / 0)::bigint AS id, 'api'::text AS origin_kind,"
        " 0 AS origin_id, given_name AS first_name, mail AS email, 1 AS gender FROM customer",
    )
    with pytest.raises(UsageError, match="cannot be read, so it is not known who leaves: division by zero"):
        apply(regions, REGIONS.plan)


def test_a_view_that_went_with_a_table_does_not_stand_in_the_way(regions: Context):
    run(regions, "DROP VIEW contact CASCADE")
    assert again(regions, REGIONS.plan) == []


def test_who_writes_meanwhile_waits_and_does_not_fail(regions: Context):
    """A writer with the table who wants the view must not meet an adoption with the view that wants the table."""
    writer = psycopg2.connect(regions.contacts.url)
    with writer.cursor() as cursor:
        cursor.execute("UPDATE customer SET given_name = 'Anna' WHERE customer_no = 1")
        with pytest.raises(Exception, match=r"is locked by .* nothing was done"):
            apply(regions, REGIONS.plan)
        cursor.execute("SET lock_timeout = '1s'; SELECT FROM contact; UPDATE customer SET given_name = 'Ann'")
    writer.rollback()
    writer.close()


@pytest.mark.parametrize("way", ["DROP TABLE customer_1", "ALTER TABLE customer DETACH PARTITION customer_1"])
def test_partition_that_is_gone_is_told_with_the_remedy(regions: Context, way: str):
    assert capture.check(regions) == []
    run(regions, way)
    (found,) = capture.check(regions)
    assert "customer_1 was adopted and is " in found.what
    assert "adopt again: `flask contacts adopt`, and export all contacts" in found.remedy
    with regions.contacts.session() as conn:
        assert capture.warnings(conn) == [f"Changes may be missing: {found.what}"]
    apply(regions, REGIONS.plan)
    assert capture.check(regions) == []


def test_table_that_names_origins_is_no_missing_part(context: Context):
    prepare(context, NEWSLETTER.ddl)
    apply(context, NEWSLETTER.plan)
    assert capture.check(context) == []


PARTED = """
CREATE TABLE customer (id integer PRIMARY KEY, form integer, mail text);
CREATE TABLE consent (customer_id integer, what text, mark text) PARTITION BY LIST (mark);
CREATE TABLE consent_a PARTITION OF consent FOR VALUES IN ('a');
CREATE TABLE consent_b PARTITION OF consent FOR VALUES IN ('b');
INSERT INTO customer VALUES (1, 1, 'a@x.at'), (2, 1, 'b@x.at');
INSERT INTO consent VALUES (1, 'yes', 'a'), (1, 'yes', 'b'), (2, 'yes', 'a');
"""


@pytest.mark.parametrize("way", ["TRUNCATE consent", "TRUNCATE consent_a, consent_b", "TRUNCATE consent, customer"])
def test_truncate_of_parts_that_each_leave_the_contact_is_a_removal(context: Context, way: str):
    prepare(context, PARTED)
    apply(context, SHAPES["consent"].plan)
    forget_log(context)
    run(context, way)
    removed = {(key, kind, number) for key, kind, number, what in logged(context) if what in "dm"}
    assert removed == {("1", "form", 1), ("2", "form", 1)}


def test_truncate_of_parts_that_each_hide_the_contact_is_a_change(context: Context):
    prepare(context, PARTED)
    apply(context, dataclasses.replace(SHAPES["consent"].plan, where=f"NOT {CONSENT}"))
    forget_log(context)
    run(context, "TRUNCATE consent")
    assert {("1", "any", 0, "u"), ("2", "form", 1, "c")} <= set(logged(context))


def test_truncate_cascade_is_a_removal(context: Context):
    shape = SHAPES["consent of customers that are there"]
    prepare(context, shape.tables + shape.rows)
    apply(context, shape.plan)
    forget_log(context)
    run(context, "TRUNCATE customer CASCADE")
    removed = {key for key, _kind, _number, what in logged(context) if what in "dm"}
    assert removed == {"2", "3"}


def test_upsert_of_membership_beside_another_table_is_a_change(context: Context):
    """Both in one statement: neither trigger knows what was before."""
    shape = SHAPES["memberships with keys"]
    prepare(context, shape.tables + shape.rows)
    apply(context, shape.plan)
    forget_log(context)
    other = psycopg2.connect(context.contacts.url)
    with other.cursor() as cursor:
        cursor.execute("UPDATE subscriber SET status = 'on' WHERE id = 6")
        run(
            context,
            "INSERT INTO member VALUES (6, 5) ON CONFLICT (subscriber_id, list_id) DO UPDATE SET list_id = 6",
        )
    other.commit()
    other.close()
    assert ("6", "form", 5, "u") in logged(context)
