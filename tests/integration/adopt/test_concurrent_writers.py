"""Two transactions change different tables of one contact at once, and neither sees the other. No change is lost."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from contactexport.adopt.apply import apply
from contactexport.changes import window
from contactexport.context import Context
from contactexport.errors import WindowOpen
from tests.support.adopted_schemas import NEWSLETTER, SHOP
from tests.support.logged import forget_log, logged, prepare, run

CUSTOMER, OTHER, COUNTRY, ADDRESS = (f"00000000-0000-0000-0000-00000000000{number}" for number in range(1, 5))


@pytest.fixture
def writers(context: Context) -> Iterator[tuple[psycopg2.extensions.connection, ...]]:
    """Two sessions of others."""
    both = [psycopg2.connect(context.contacts.url) for _ in range(2)]
    yield tuple(both)
    for conn in both:
        conn.close()


def execute(conn: psycopg2.extensions.connection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def newsletter(context: Context) -> Context:
    """An unconfirmed subscriber on no list."""
    prepare(
        context,
        NEWSLETTER.ddl + "INSERT INTO lists (name) VALUES ('News'), ('Offers');"
        "INSERT INTO subscribers (email, name, status) VALUES ('a@x.at', 'Ann', 'blocklisted')",
    )
    apply(context, NEWSLETTER.plan)
    forget_log(context)
    return context


@pytest.fixture
def shop(context: Context) -> Context:
    """A customer with an order and an address in Austria."""
    prepare(
        context,
        SHOP.ddl + f"INSERT INTO country VALUES ('{COUNTRY}', 'at'); "
        f"INSERT INTO country_translation VALUES ('{COUNTRY}', 'en', 'Austria');"
        f"INSERT INTO customer VALUES ('{CUSTOMER}', 1, 'a@x.at'), ('{OTHER}', 1, 'b@x.at');"
        f"INSERT INTO customer_address VALUES ('{ADDRESS}', '{CUSTOMER}', 'Vienna', NULL);"
        f"UPDATE customer SET default_address_id = '{ADDRESS}' WHERE id = '{CUSTOMER}';"
        f"INSERT INTO shop_order (customer_id, state) VALUES ('{CUSTOMER}', 'open'), ('{CUSTOMER}', 'open')",
    )
    apply(context, SHOP.plan)
    forget_log(context)
    return context


def test_contact_made_by_two_transactions_is_logged_for_its_origin(newsletter: Context, writers):
    one, other = writers
    execute(one, "UPDATE subscribers SET status = 'enabled'")
    execute(other, "INSERT INTO subscriber_lists VALUES (1, 2)")
    one.commit()
    other.commit()
    assert ("1", "form", 2, "u") in logged(newsletter)


def test_contact_removed_by_two_transactions_is_noted_as_removed(shop: Context, writers):
    one, other = writers
    execute(one, "DELETE FROM shop_order WHERE number = 1")
    execute(other, "DELETE FROM shop_order WHERE number = 2")
    one.commit()
    other.commit()
    assert (CUSTOMER, "form", 1, "m") in logged(shop)


def test_changes_of_two_tables_are_both_logged(shop: Context, writers):
    one, other = writers
    execute(one, f"UPDATE customer SET email = 'new@x.at' WHERE id = '{CUSTOMER}'")
    execute(other, "UPDATE customer_address SET city = 'Graz'")
    other.commit()
    one.rollback()
    assert logged(shop) == [(CUSTOMER, "form", 1, "u")]


def test_nobody_waits_for_writers_of_other_tables(shop: Context, writers):
    one, other = writers
    execute(other, "SET lock_timeout = '1s'")
    execute(one, f"UPDATE customer SET sales_channel = 7 WHERE id = '{CUSTOMER}'")
    execute(other, "UPDATE customer_address SET city = 'Graz'; UPDATE country_translation SET name = 'A'")
    execute(other, "DELETE FROM shop_order WHERE number = 2")


def test_export_waits_for_who_has_not_seen_the_changes_of_its_window(shop: Context, writers):
    """The country is renamed while an address comes into it: only the address is logged, and the file needs both."""
    one, other = writers
    execute(one, f"UPDATE customer_address SET country_id = '{COUNTRY}'")
    start = datetime.now(UTC) - timedelta(hours=1)
    end = datetime.now(UTC)

    def rename_then_commit_first() -> None:
        execute(other, "UPDATE country_translation SET name = 'Österreich'")
        one.commit()

    with shop.contacts.session() as conn:
        threading.Timer(0.3, rename_then_commit_first).start()
        with pytest.raises(WindowOpen):
            window.settled_until(conn, start, end, 1.5, whole=True)
        other.commit()
        assert window.settled_until(conn, start, end, 1.5, whole=True) == end
    assert logged(shop) == [(CUSTOMER, "form", 1, "u")]


def test_window_ends_before_changes_that_a_writer_has_not_seen(shop: Context, writers):
    """The address of before is in the log only once, and the country that is still renamed belongs to it."""
    one, other = writers
    execute(one, f"UPDATE customer_address SET country_id = '{COUNTRY}'")
    before = datetime.now(UTC)
    execute(other, "UPDATE country_translation SET name = 'Österreich'")
    one.commit()
    with shop.contacts.session() as conn:
        start = before - timedelta(hours=1)
        assert window.settled_until(conn, start, datetime.now(UTC), 0) < before
        other.commit()
        assert window.settled_until(conn, start, datetime.now(UTC), 0) > before


def test_transaction_of_an_old_snapshot_logs_what_it_may_not_see(newsletter: Context, writers):
    one, other = writers
    one.set_session(isolation_level="REPEATABLE READ")
    execute(one, "SELECT FROM lists")
    execute(other, "INSERT INTO subscriber_lists VALUES (1, 2)")
    other.commit()
    forget_log(newsletter)
    execute(one, "UPDATE subscribers SET name = 'Anna'")
    one.commit()
    assert logged(newsletter) == [("1", "any", 0, "u")]


def test_removal_of_who_stays_is_not_exported(shop: Context):
    run(shop, "DELETE FROM shop_order WHERE number = 1")
    assert (CUSTOMER, "form", 1, "m") in logged(shop)
    with shop.contacts.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT id FROM contact")
        assert [row["id"] for row in cursor.fetchall()] == [CUSTOMER]
