"""Which rows of an update are logged, when it leaves others as they were, and in sessions that go on for long."""

import pytest
from exporting import add_contact, execute, other_session
from psycopg2.extensions import connection

from contactexport.backend import Backend

MANY = 20_000
MANY_CONTACTS = f"INSERT INTO contact (origin_kind, origin_id) SELECT 'form', 123 FROM generate_series(1, {MANY})"
# Far above what the update of many takes, and far below what it took when each was compared with each.
GUARD = "SET statement_timeout = '60s'"


def three_contacts(backend: Backend) -> list[int]:
    contacts = [add_contact(backend, first_name=name) for name in ("Anna", "Bert", "Cora")]
    execute(backend, "DELETE FROM contact_change")
    return contacts


def logged(backend: Backend) -> list[int]:
    return [row["contact_id"] for row in execute(backend, "SELECT contact_id FROM contact_change ORDER BY 1")]


def run_all(conn: connection, *statements: str) -> None:
    with conn.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_only_the_changed_rows_of_a_statement_are_logged(backend: Backend):
    _same, second, third = three_contacts(backend)
    execute(backend, "UPDATE contact SET first_name = CASE first_name WHEN 'Anna' THEN 'Anna' ELSE 'Dora' END")
    assert logged(backend) == [second, third]


def test_a_statement_that_changes_all_follows_one_that_changed_some(backend: Backend):
    first, second, third = three_contacts(backend)
    with other_session(backend, autocommit=False) as conn:
        run_all(conn, "UPDATE contact SET first_name = 'Anna' WHERE first_name < 'C'")
        run_all(conn, "UPDATE contact SET last_name = 'Smith'")
        conn.commit()
    assert logged(backend) == sorted([second, first, second, third])


def test_unchanged_rows_are_found_after_a_savepoint_was_rolled_back(backend: Backend):
    _same, _also_same, third = three_contacts(backend)
    with other_session(backend, autocommit=False) as conn:
        run_all(conn, "SAVEPOINT before", "UPDATE contact SET first_name = first_name", "ROLLBACK TO before")
        run_all(conn, "UPDATE contact SET first_name = CASE WHEN first_name < 'C' THEN first_name ELSE 'Dora' END")
        conn.commit()
    assert logged(backend) == [third]


def test_what_one_transaction_left_as_it_was_does_not_concern_the_next(backend: Backend):
    contacts = three_contacts(backend)
    with other_session(backend) as conn:
        run_all(conn, "UPDATE contact SET first_name = first_name", "UPDATE contact SET first_name = 'Dora'")
        run_all(conn, "UPDATE contact SET first_name = 'Dora'")
    assert logged(backend) == contacts


def test_a_new_id_beside_unchanged_rows_is_logged(backend: Backend):
    first, _same, _also_same = three_contacts(backend)
    execute(backend, "UPDATE contact SET id = CASE id WHEN %s THEN 1000 ELSE id END", (first,))
    assert logged(backend) == [1000]


def test_an_upsert_logs_what_it_inserts_and_what_it_changes(backend: Backend):
    first, second, _untouched = three_contacts(backend)
    execute(
        backend,
        "INSERT INTO contact (id, first_name) VALUES (%s, 'Anna'), (%s, 'Dora'), (1000, 'Emil')"
        " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name",
        (first, second),
    )
    assert logged(backend) == [second, 1000]


def test_an_update_by_a_trigger_of_an_update_is_logged_too(backend: Backend):
    """The inner statement has rows of its own; the outer one goes on afterwards."""
    first, second, third = three_contacts(backend)
    execute(
        backend,
        f"""CREATE FUNCTION touch_another() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE contact SET last_name = 'touched' WHERE id = {third} AND NEW.id = {first};
            RETURN NULL;
        END $$;
        CREATE TRIGGER touch_another AFTER UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION touch_another()""",
    )
    execute(
        backend,
        "UPDATE contact SET first_name = CASE id WHEN %s THEN 'Dora' ELSE first_name END WHERE id <> %s",
        (second, third),
    )
    assert logged(backend) == [second, third]


def test_columns_may_be_added_retyped_and_dropped_in_a_running_session(backend: Backend):
    first, second, third = three_contacts(backend)
    with other_session(backend) as conn:
        run_all(conn, f"UPDATE contact SET children = 1 WHERE id = {first}")
        execute(backend, "ALTER TABLE contact ADD shoe_size integer, ALTER children TYPE bigint, DROP fax")
        run_all(conn, f"UPDATE contact SET shoe_size = 42 WHERE id = {second}")
        run_all(conn, f"UPDATE contact SET children = 2, shoe_size = NULL WHERE id IN ({first}, {third})")
        run_all(conn, "UPDATE contact SET shoe_size = shoe_size, children = children")
    assert logged(backend) == sorted([first, second, first, third])


def test_a_session_that_has_updated_one_contact_can_update_many(backend: Backend):
    """The plan for one, kept for the session, is one for many as well."""
    first, _second, _third = three_contacts(backend)
    execute(backend, MANY_CONTACTS)
    execute(backend, "DELETE FROM contact_change")
    with other_session(backend) as conn:
        run_all(conn, GUARD, f"UPDATE contact SET first_name = first_name WHERE id = {first}")
        run_all(conn, f"UPDATE contact SET last_name = CASE id WHEN {first} THEN last_name ELSE 'Smith' END")
    assert len(logged(backend)) == MANY + 2


def many_contacts(backend: Backend) -> list[int]:
    """So many that they are compared by a column first."""
    execute(
        backend,
        "INSERT INTO contact (origin_kind, origin_id, first_name, city, children, page_views_per_day)"
        " SELECT 'form', 123, 'Anna', 'Berlin ' || n, n, 1.0 FROM generate_series(1, 300) AS n",
    )
    execute(backend, "DELETE FROM contact_change")
    return [row["id"] for row in execute(backend, "SELECT id FROM contact ORDER BY id")]


def test_an_update_of_all_of_many_logs_each_once(backend: Backend):
    contacts = many_contacts(backend)
    execute(backend, "UPDATE contact SET last_name = 'Smith'")
    assert logged(backend) == contacts


@pytest.mark.parametrize("same", [0, 1, 150, 299])
def test_one_of_many_that_stays_the_same_is_not_logged(backend: Backend, same: int):
    contacts = many_contacts(backend)
    unchanged = contacts[same]
    execute(backend, "UPDATE contact SET children = CASE id WHEN %s THEN children ELSE -children END", (unchanged,))
    assert logged(backend) == [contact for contact in contacts if contact != unchanged]


@pytest.mark.parametrize("same", [1, 2, 150, 300])
def test_one_of_many_that_had_the_value_set_for_all_is_not_logged(backend: Backend, same: int):
    contacts = many_contacts(backend)
    execute(backend, "UPDATE contact SET city = %s", (f"Berlin {same}",))
    assert logged(backend) == [contact for contact in contacts if contact != contacts[same - 1]]


def test_many_that_lose_a_value_are_logged_unless_they_had_none(backend: Backend):
    contacts = many_contacts(backend)
    execute(backend, "UPDATE contact SET city = NULL WHERE id = %s", (contacts[7],))
    execute(backend, "DELETE FROM contact_change")
    execute(backend, "UPDATE contact SET city = NULL")
    assert logged(backend) == [contact for contact in contacts if contact != contacts[7]]


def test_many_that_differ_in_one_column_or_another_are_all_logged(backend: Backend):
    """The column in which the first one differs tells nothing about the others."""
    contacts = many_contacts(backend)
    execute(
        backend,
        "UPDATE contact SET first_name = CASE WHEN id = %s THEN 'Bert' ELSE first_name END,"
        " city = CASE WHEN id = %s THEN city ELSE 'Bonn' END",
        (contacts[0], contacts[0]),
    )
    assert logged(backend) == contacts


def test_none_of_many_is_logged_when_all_stay_the_same(backend: Backend):
    many_contacts(backend)
    execute(backend, "UPDATE contact SET first_name = first_name, children = children")
    assert logged(backend) == []


def test_many_numbers_that_are_written_differently_are_logged(backend: Backend):
    contacts = many_contacts(backend)
    execute(backend, "UPDATE contact SET page_views_per_day = 1.00")
    assert logged(backend) == contacts


def test_many_contacts_that_exchange_their_ids_are_logged(backend: Backend):
    contacts = many_contacts(backend)
    execute(backend, "ALTER TABLE contact DROP CONSTRAINT contact_pkey")
    execute(backend, "UPDATE contact SET id = %s - id", (contacts[0] + contacts[-1],))
    assert logged(backend) == contacts


def test_columns_of_any_type_and_name_may_change_in_many_contacts(backend: Backend):
    contacts = many_contacts(backend)
    execute(backend, """ALTER TABLE contact ADD "Ügy %s ""x" text, ADD place point, ADD extra json, DROP fax""")
    execute(backend, "UPDATE contact SET place = point(1, 2), extra = '\"a\"'")
    execute(backend, """UPDATE contact SET "Ügy %s ""x" = 'a'""")
    assert logged(backend) == sorted(contacts * 2)


@pytest.mark.parametrize("chosen", ["on", "off"])
def test_the_planner_s_settings_of_who_updates_stay_as_they_are(backend: Backend, chosen: str):
    for _ in range(3):
        add_contact(backend, first_name="before")
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT set_config('enable_nestloop', %s, true)", (chosen,))
        cursor.execute("UPDATE contact SET first_name = 'after'")
        cursor.execute("SELECT current_setting('enable_nestloop') AS now, count(*) AS changes FROM contact_change")
        assert cursor.fetchone() == {"now": chosen, "changes": 6}
