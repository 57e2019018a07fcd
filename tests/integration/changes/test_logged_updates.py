"""An update logs exactly the rows that it changes, also in long sessions."""

import pytest
from psycopg2.extensions import connection

from contactexport.context import Context
from tests.support.exporting import add_contact, execute, other_session

MANY = 20_000
MANY_CONTACTS = f"INSERT INTO contact (origin_kind, origin_id) SELECT 'form', 123 FROM generate_series(1, {MANY})"
# The update takes far less. A comparison of each row with each other one would take far longer.
GUARD = "SET statement_timeout = '60s'"


def three_contacts(context: Context) -> list[int]:
    contacts = [add_contact(context, first_name=name) for name in ("Anna", "Bert", "Cora")]
    execute(context, "DELETE FROM contact_change")
    return contacts


def logged(context: Context) -> list[int]:
    return [row["contact_id"] for row in execute(context, "SELECT contact_id FROM contact_change ORDER BY 1")]


def run_all(conn: connection, *statements: str) -> None:
    with conn.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_only_the_changed_rows_of_a_statement_are_logged(context: Context):
    _same, second, third = three_contacts(context)
    execute(context, "UPDATE contact SET first_name = CASE first_name WHEN 'Anna' THEN 'Anna' ELSE 'Dora' END")
    assert logged(context) == [second, third]


def test_second_statement_of_a_transaction_logs_all_its_changes(context: Context):
    first, second, third = three_contacts(context)
    with other_session(context, autocommit=False) as conn:
        run_all(conn, "UPDATE contact SET first_name = 'Anna' WHERE first_name < 'C'")
        run_all(conn, "UPDATE contact SET last_name = 'Smith'")
        conn.commit()
    assert logged(context) == sorted([second, first, second, third])


def test_unchanged_rows_are_not_logged_after_a_rolled_back_savepoint(context: Context):
    _same, _also_same, third = three_contacts(context)
    with other_session(context, autocommit=False) as conn:
        run_all(conn, "SAVEPOINT before", "UPDATE contact SET first_name = first_name", "ROLLBACK TO before")
        run_all(conn, "UPDATE contact SET first_name = CASE WHEN first_name < 'C' THEN first_name ELSE 'Dora' END")
        conn.commit()
    assert logged(context) == [third]


def test_unchanged_rows_of_a_transaction_do_not_affect_the_next(context: Context):
    contacts = three_contacts(context)
    with other_session(context) as conn:
        run_all(conn, "UPDATE contact SET first_name = first_name", "UPDATE contact SET first_name = 'Dora'")
        run_all(conn, "UPDATE contact SET first_name = 'Dora'")
    assert logged(context) == contacts


def test_new_id_beside_unchanged_rows_is_logged(context: Context):
    first, _same, _also_same = three_contacts(context)
    execute(context, "UPDATE contact SET id = CASE id WHEN %s THEN 1000 ELSE id END", (first,))
    assert logged(context) == [1000]


def test_upsert_logs_only_inserted_and_changed_rows(context: Context):
    first, second, _untouched = three_contacts(context)
    execute(
        context,
        "INSERT INTO contact (id, first_name) VALUES (%s, 'Anna'), (%s, 'Dora'), (1000, 'Emil')"
        " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name",
        (first, second),
    )
    assert logged(context) == [second, 1000]


def test_update_by_a_trigger_is_logged(context: Context):
    """The inner statement has its own rows. The outer one goes on afterwards."""
    first, second, third = three_contacts(context)
    execute(
        context,
        f"""CREATE FUNCTION touch_another() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE contact SET last_name = 'touched' WHERE id = {third} AND NEW.id = {first};
            RETURN NULL;
        END $$;
        CREATE TRIGGER touch_another AFTER UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION touch_another()""",
    )
    execute(
        context,
        "UPDATE contact SET first_name = CASE id WHEN %s THEN 'Dora' ELSE first_name END WHERE id <> %s",
        (second, third),
    )
    assert logged(context) == [second, third]


def test_session_logs_on_after_columns_are_added_retyped_and_dropped(context: Context):
    first, second, third = three_contacts(context)
    with other_session(context) as conn:
        run_all(conn, f"UPDATE contact SET children = 1 WHERE id = {first}")
        execute(context, "ALTER TABLE contact ADD shoe_size integer, ALTER children TYPE bigint, DROP fax")
        run_all(conn, f"UPDATE contact SET shoe_size = 42 WHERE id = {second}")
        run_all(conn, f"UPDATE contact SET children = 2, shoe_size = NULL WHERE id IN ({first}, {third})")
        run_all(conn, "UPDATE contact SET shoe_size = shoe_size, children = children")
    assert logged(context) == sorted([first, second, first, third])


def test_session_that_updated_one_contact_can_update_many(context: Context):
    """The session caches the plan for one contact. The plan must also suit many."""
    first, _second, _third = three_contacts(context)
    execute(context, MANY_CONTACTS)
    execute(context, "DELETE FROM contact_change")
    with other_session(context) as conn:
        run_all(conn, GUARD, f"UPDATE contact SET first_name = first_name WHERE id = {first}")
        run_all(conn, f"UPDATE contact SET last_name = CASE id WHEN {first} THEN last_name ELSE 'Smith' END")
    assert len(logged(context)) == MANY + 2


def many_contacts(context: Context) -> list[int]:
    """So many that the trigger compares them by one column first."""
    execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id, first_name, city, children, page_views_per_day)"
        " SELECT 'form', 123, 'Anna', 'Berlin ' || n, n, 1.0 FROM generate_series(1, 300) AS n",
    )
    execute(context, "DELETE FROM contact_change")
    return [row["id"] for row in execute(context, "SELECT id FROM contact ORDER BY id")]


def test_update_of_many_contacts_logs_each_once(context: Context):
    contacts = many_contacts(context)
    execute(context, "UPDATE contact SET last_name = 'Smith'")
    assert logged(context) == contacts


@pytest.mark.parametrize("same", [0, 1, 150, 299])
def test_unchanged_contact_among_many_is_not_logged(context: Context, same: int):
    contacts = many_contacts(context)
    unchanged = contacts[same]
    execute(context, "UPDATE contact SET children = CASE id WHEN %s THEN children ELSE -children END", (unchanged,))
    assert logged(context) == [contact for contact in contacts if contact != unchanged]


@pytest.mark.parametrize("same", [1, 2, 150, 300])
def test_contact_that_already_had_the_value_set_for_many_is_not_logged(context: Context, same: int):
    contacts = many_contacts(context)
    execute(context, "UPDATE contact SET city = %s", (f"Berlin {same}",))
    assert logged(context) == [contact for contact in contacts if contact != contacts[same - 1]]


def test_contacts_set_to_null_are_logged_unless_they_were_null(context: Context):
    contacts = many_contacts(context)
    execute(context, "UPDATE contact SET city = NULL WHERE id = %s", (contacts[7],))
    execute(context, "DELETE FROM contact_change")
    execute(context, "UPDATE contact SET city = NULL")
    assert logged(context) == [contact for contact in contacts if contact != contacts[7]]


def test_contacts_that_differ_in_different_columns_are_all_logged(context: Context):
    """The column in which the first contact differs says nothing about the others."""
    contacts = many_contacts(context)
    execute(
        context,
        "UPDATE contact SET first_name = CASE WHEN id = %s THEN 'Bert' ELSE first_name END,"
        " city = CASE WHEN id = %s THEN city ELSE 'Bonn' END",
        (contacts[0], contacts[0]),
    )
    assert logged(context) == contacts


def test_update_that_changes_none_of_many_logs_none(context: Context):
    many_contacts(context)
    execute(context, "UPDATE contact SET first_name = first_name, children = children")
    assert logged(context) == []


def test_equal_numbers_of_different_scale_are_logged(context: Context):
    contacts = many_contacts(context)
    execute(context, "UPDATE contact SET page_views_per_day = 1.00")
    assert logged(context) == contacts


def test_contacts_that_exchange_ids_are_logged(context: Context):
    contacts = many_contacts(context)
    execute(context, "ALTER TABLE contact DROP CONSTRAINT contact_pkey")
    execute(context, "UPDATE contact SET id = %s - id", (contacts[0] + contacts[-1],))
    assert logged(context) == contacts


def test_changes_of_columns_of_any_type_and_name_are_logged(context: Context):
    contacts = many_contacts(context)
    execute(context, """ALTER TABLE contact ADD "Ügy %s ""x" text, ADD place point, ADD extra json, DROP fax""")
    execute(context, "UPDATE contact SET place = point(1, 2), extra = '\"a\"'")
    execute(context, """UPDATE contact SET "Ügy %s ""x" = 'a'""")
    assert logged(context) == sorted(contacts * 2)


@pytest.mark.parametrize("chosen", ["on", "off"])
def test_planner_settings_of_the_updating_session_stay_as_they_are(context: Context, chosen: str):
    for _ in range(3):
        add_contact(context, first_name="before")
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT set_config('enable_nestloop', %s, true)", (chosen,))
        cursor.execute("UPDATE contact SET first_name = 'after'")
        cursor.execute("SELECT current_setting('enable_nestloop') AS now, count(*) AS changes FROM contact_change")
        assert cursor.fetchone() == {"now": chosen, "changes": 6}
