"""`flask contacts sample`: the sample catalogue and contacts in a real database."""

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.db.connection import Database
from contactexport.embedded import sample_catalogue, sample_contacts, sample_pools
from tests.support.sql_rows import rows, value

CONTACTS = 3000


@pytest.fixture(scope="module", autouse=True)
def _pools_made_once() -> Iterator[None]:
    """Saves 1.5 seconds per test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_pools, "make_pools", functools.cache(sample_pools.make_pools))
        yield


@pytest.fixture
def database(context: Context) -> Database:
    return context.contacts


@pytest.fixture(scope="module")
def filled(server_url: str, template: str) -> Iterator[Database]:
    """A database with contacts, for all tests that only read."""
    name = f"{template}_sample"
    server = Database(lambda: server_url)
    with server.session() as conn, conn.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    database = Database(lambda: psycopg2.extensions.make_dsn(server_url, dbname=name))
    sample_contacts.generate(database, CONTACTS)
    yield database
    database.close()
    with server.session() as conn, conn.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def dump(database: Database) -> list[dict]:
    return rows(database, "SELECT * FROM contact ORDER BY id")


def history(database: Database) -> list[dict]:
    return rows(database, "SELECT * FROM contact_change ORDER BY contact_id, changed_at")


def test_second_load_of_catalogue_changes_nothing(database):
    tables = ("origin", "contact_field", "contact_field_choice")
    before = [rows(database, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
    sample_catalogue.load(database)
    assert [rows(database, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables] == before
    assert [len(table) for table in before][:2] == [5, 50]


def test_load_of_catalogue_updates_changed_entries(database):
    rows(database, "UPDATE contact_field SET name = 'old', exportable = true")
    rows(database, "UPDATE contact_field_choice SET labels = '{}'")
    rows(database, "UPDATE origin SET name = 'old'")
    rows(database, "INSERT INTO origin VALUES ('form', 9, 'mine')")
    sample_catalogue.load(database)
    assert value(database, "SELECT count(*) FROM contact_field WHERE name = 'old'") == 0
    assert value(database, "SELECT count(*) FROM contact_field WHERE NOT exportable") == 5
    assert value(database, "SELECT count(*) FROM contact_field_choice WHERE labels = '{}'") == 0
    assert rows(database, "SELECT * FROM origin WHERE name IN ('old', 'mine')") == [
        {"kind": "form", "id": 9, "name": "mine"}
    ]


def test_every_field_of_catalogue_has_column(database):
    columns = {row["column_name"] for row in rows(database, "SELECT column_name FROM contact_field")}
    found = rows(database, "SELECT attname FROM pg_attribute WHERE attrelid = 'contact'::regclass AND attnum > 0")
    assert columns <= {row["attname"] for row in found}


def test_catalogue_loads_while_export_reads_contacts(database):
    with database.session(snapshot=True) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT * FROM contact")
        sample_catalogue.load(database)


def test_reported_numbers_of_contacts_and_changes_are_true(database):
    made = sample_contacts.generate(database, 1000)
    assert made.contacts == value(database, "SELECT count(*) FROM contact") == 1000
    assert made.changes == value(database, "SELECT count(*) FROM contact_change") > 1000


def test_progress_is_reported_after_every_batch(database, monkeypatch):
    monkeypatch.setattr(sample_contacts, "BATCH", 400)
    told: list[tuple[int, int]] = []
    sample_contacts.generate(
        database, 1000, on_progress=lambda n: told.append((n, value(database, "SELECT count(*) FROM contact")))
    )
    assert told == [(400, 400), (800, 800), (1000, 1000)]


def test_same_seed_makes_same_contacts_with_any_batch_size(filled, database, monkeypatch):
    monkeypatch.setattr(sample_contacts, "BATCH", 700)
    sample_contacts.generate(database, CONTACTS)
    assert dump(database) == dump(filled)
    assert history(database) == history(filled)


def test_another_seed_makes_other_contacts(filled, database):
    sample_contacts.generate(database, 100, seed=2)
    assert [row["last_name"] for row in dump(database)] != [row["last_name"] for row in dump(filled)[:100]]
    assert [row["date_of_birth"] for row in dump(database)] != [row["date_of_birth"] for row in dump(filled)[:100]]


def test_second_run_appends_contacts_with_unique_addresses(database):
    sample_contacts.generate(database, 500)
    first = dump(database)
    sample_contacts.generate(database, 300)
    assert dump(database)[:500] == first
    assert value(database, "SELECT count(DISTINCT email) FROM contact") == 800
    assert value(database, "SELECT count(DISTINCT id) FROM contact") == 800


def test_later_contacts_get_free_ids_and_are_logged(database):
    sample_contacts.generate(database, 10)
    new = value(database, "INSERT INTO contact (last_name) VALUES ('Neu') RETURNING id")
    assert new == 11
    logged = value(database, "SELECT changed_at FROM contact_change WHERE contact_id = %s", new)
    assert datetime.now(UTC) - logged < timedelta(minutes=5)


def test_ids_of_deleted_contacts_are_not_reused(database):
    sample_contacts.generate(database, 10)
    rows(database, "DELETE FROM contact WHERE id > 5")
    sample_contacts.generate(database, 3)
    assert [row["id"] for row in dump(database)] == [1, 2, 3, 4, 5, 11, 12, 13]


def test_history_covers_only_2012_and_last_60_days(filled):
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    times = [row["changed_at"] for row in history(filled)]
    old = [moment for moment in times if moment.year == 2012]
    recent = [moment for moment in times if midnight - timedelta(days=60) <= moment < midnight]
    assert len(old) + len(recent) == len(times)
    assert {moment.month for moment in old} == set(range(1, 13))
    assert len({moment.date() for moment in recent}) == 60
    assert len(old) > len(recent) > CONTACTS / 5


def test_every_contact_has_one_to_three_changes_of_its_own_origin(filled):
    counted = rows(
        filled,
        "SELECT count(*) AS changes FROM contact JOIN contact_change ON contact_id = contact.id"
        " AND (contact_change.origin_kind, contact_change.origin_id) = (contact.origin_kind, contact.origin_id)"
        " GROUP BY contact.id",
    )
    assert len(counted) == CONTACTS
    assert {row["changes"] for row in counted} == {1, 2, 3}


def test_only_first_change_of_contact_is_creation(filled):
    kinds = rows(
        filled,
        "SELECT array_agg(kind ORDER BY changed_at, kind) AS kinds FROM contact_change GROUP BY contact_id",
    )
    assert {"".join(row["kinds"]) for row in kinds} == {"c", "cu", "cuu"}


def test_history_is_in_monthly_partitions(filled):
    assert value(filled, "SELECT count(*) FROM contact_change_other") == 0
    assert value(filled, "SELECT count(*) FROM contact_change_2012_02") > 100


def test_contact_registers_on_day_of_first_change(filled):
    differing = value(
        filled,
        "SELECT count(*) FROM contact JOIN (SELECT contact_id, min(changed_at) AS first FROM contact_change GROUP BY 1)"
        " AS c ON contact_id = id WHERE registration_date <> (first AT TIME ZONE 'UTC')::date",
    )
    assert differing == 0


def test_most_contacts_come_from_first_form_and_some_from_every_origin(filled):
    counted = rows(filled, "SELECT origin_kind, origin_id FROM contact GROUP BY 1, 2 ORDER BY count(*) DESC")
    found = [(row["origin_kind"], row["origin_id"]) for row in counted]
    assert found[:3] == [("form", 123), ("form", 124), ("api", 456)]
    assert set(found[3:]) == {("api", 789), ("api", 0)}


def test_optional_texts_are_sometimes_null_and_sometimes_empty(filled):
    for column in ("first_name", "last_name", "address", "city", "zip_code", "phone", "mobile", "loyalty_number"):
        nulls = value(filled, f"SELECT count(*) FROM contact WHERE {column} IS NULL") / CONTACTS
        empty = value(filled, f"SELECT count(*) FROM contact WHERE {column} = ''") / CONTACTS
        assert 0.03 < nulls < 0.10, column
        assert 0.005 < empty < 0.05, column


@pytest.mark.parametrize(
    "pattern",
    ['"', "'", ",", ";", "[^\r]\n", "\r\n", r"^\\$", r"^=1\+1$", "^ ", " $", "[äöü]", "[一-龯]", "[א-ת]", "[ا-ي]"],
)
def test_values_contain_what_breaks_careless_programs(filled, pattern):
    texts = rows(filled, "SELECT first_name, last_name, address, company FROM contact")
    assert any(re.search(pattern, text) for row in texts for text in row.values() if text)


def test_every_column_of_catalogue_is_filled(filled):
    columns = [row["column_name"] for row in rows(filled, "SELECT column_name FROM contact_field")]
    counts = rows(filled, "SELECT " + ", ".join(f"count({column}) AS {column}" for column in columns) + " FROM contact")
    assert [column for column in columns if counts[0][column] < CONTACTS / 50] == []


def test_choices_are_those_of_catalogue(filled):
    for column, ids in sample_catalogue.choice_ids_by_column().items():
        if column != "interests":
            found = {row[column] for row in rows(filled, f"SELECT DISTINCT {column} FROM contact")}
            assert found - {None} <= set(ids), column
            assert len(found - {None}) > 1, column


def test_interests_are_up_to_four_different_choices(filled):
    found = [row["interests"] for row in rows(filled, "SELECT interests FROM contact")]
    assert {len(interests) for interests in found if interests is not None} == {0, 1, 2, 3, 4}
    assert None in found
    assert all(len(set(i)) == len(i) and set(i) <= set(range(1, 11)) for i in found if i)


def test_each_contact_is_consistent(filled):
    assert value(filled, "SELECT count(*) FROM contact WHERE gender <> salutation") == 0
    assert value(filled, "SELECT count(*) FROM contact WHERE country <> country_office") == 0
    japanese = rows(filled, "SELECT last_name, city FROM contact WHERE country = 85 AND last_name > '' AND city > ''")
    assert japanese
    assert all(re.search("[々一-龯ァ-ヶ]", row["city"]) for row in japanese)


def test_stopped_run_leaves_whole_batches(database, monkeypatch):
    monkeypatch.setattr(sample_contacts, "BATCH", 300)

    def stop(done: int) -> None:
        if done == 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_contacts.generate(database, 1000, on_progress=stop)
    assert value(database, "SELECT count(*) FROM contact") == 600
    assert value(database, "SELECT count(DISTINCT contact_id) FROM contact_change") == 600
    sample_contacts.generate(database, 400)
    assert value(database, "SELECT count(DISTINCT contact_id) FROM contact_change") == 1000


def test_source_and_form_follow_origin_of_contact(database):
    sample_contacts.generate(database, 100)
    told = """
        SELECT count(*) AS n FROM contact
        WHERE contact_form IS DISTINCT FROM CASE origin_kind WHEN 'form' THEN origin_id END
           OR contact_source IS DISTINCT FROM CASE origin_kind WHEN 'api' THEN nullif(origin_id, 0) END
    """
    with database.transaction() as conn, conn.cursor() as cursor:
        for change in (
            "UPDATE contact SET origin_id = 124 WHERE origin_kind = 'form'",
            "UPDATE contact SET origin_kind = 'api', origin_id = 456 WHERE id % 3 = 0",
            "UPDATE contact SET origin_id = 0 WHERE origin_kind = 'api'",
            "INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 124), ('api', 789), ('api', 0)",
            "UPDATE contact SET origin_id = origin_id, first_name = 'Jo'",
        ):
            cursor.execute(change)
            cursor.execute(told)
            assert cursor.fetchone() == {"n": 0}, change
