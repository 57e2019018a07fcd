"""A file holds the contacts of the origin that changed in [start, end), each once."""

from datetime import timedelta
from typing import Any

import pytest
from psycopg2 import sql

from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.exports import run as run_export
from contactexport.exports import status
from tests.support.exporting import (
    END,
    START,
    TESTER,
    add_contact,
    around_now,
    change,
    contact_changed,
    execute,
    export_file,
    exported_ids,
    other_session,
    request,
    run,
    settings_for,
)

MICROSECOND = timedelta(microseconds=1)


def now_settings(**changes):
    return settings_for(**around_now() | changes)


def test_window_is_half_open_to_the_microsecond(context: Context):
    contact_changed(context, START - MICROSECOND)
    first = contact_changed(context, START)
    last = contact_changed(context, END - MICROSECOND)
    contact_changed(context, END)
    assert exported_ids(context, settings_for()) == [first, last]
    # The window that follows has what this one left out: no gap and no overlap.
    assert exported_ids(context, settings_for(start=END, end=END + MICROSECOND)) == [last + 1]


def test_contact_with_many_changes_has_one_row_with_the_latest_in_the_window(context: Context):
    contact = contact_changed(context, START)
    for moment in (START - MICROSECOND, START + timedelta(hours=5), START + timedelta(seconds=90), END):
        change(context, contact, moment)
    assert export_file(context, settings_for()) == f"{contact},,,2012-02-09 05:00:00\n".encode()


def test_file_holds_only_contacts_of_the_requested_origins(context: Context):
    of_origin = {
        (kind, origin_id): contact_changed(context, origin_kind=kind, origin_id=origin_id)
        for kind, origin_id in [("form", 123), ("form", 124), ("api", 0), ("api", 456), ("api", 789), ("api", 123)]
    }
    for kind, origin_ids in [
        ("form", (123,)),
        ("form", (123, 124)),
        ("api", (0,)),
        ("api", (456, 789)),
        ("api", (0, 456)),
    ]:
        expected = [of_origin[kind, origin_id] for origin_id in origin_ids]
        assert exported_ids(context, settings_for(origin=kind, origin_ids=origin_ids)) == sorted(expected)
    assert exported_ids(context, settings_for(origin="all", origin_ids=())) == sorted(of_origin.values())


def test_deleted_contact_is_not_exported(context: Context):
    kept, deleted = contact_changed(context), contact_changed(context)
    execute(context, "DELETE FROM contact WHERE id = %s", (deleted,))
    assert exported_ids(context, settings_for()) == [kept]
    assert exported_ids(context, settings_for(origin="all", origin_ids=())) == [kept]


def test_update_without_a_difference_is_not_logged(context: Context):
    same, changed, emptied = (add_contact(context, first_name="Anna", interests=[1, 2]) for _ in range(3))
    execute(context, "DELETE FROM contact_change")
    execute(context, "UPDATE contact SET first_name = 'Anna', interests = '{1,2}', email = NULL")
    assert exported_ids(context, now_settings()) == []
    execute(
        context,
        "UPDATE contact SET first_name = CASE id WHEN %s THEN 'Ännä' WHEN %s THEN NULL ELSE first_name END",
        (changed, emptied),
    )
    assert exported_ids(context, now_settings()) == [changed, emptied]
    assert execute(context, "SELECT count(*) AS n FROM contact_change WHERE contact_id = %s", (same,))[0]["n"] == 0


def test_change_of_any_column_is_logged(context: Context):
    values = {"ARRAY": "'{7}'", "text": "'x'", "date": "'2012-02-29'", "numeric": "1.5"}
    contact = add_contact(context)
    columns = execute(
        context,
        "SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = 'contact'"
        " AND column_name NOT IN ('id', 'origin_kind')",
    )
    assert len(columns) > 45
    for number, column in enumerate(columns, 7):
        values["integer"] = str(number)  # a new one for each column, because contact form and source follow the origin
        execute(context, "DELETE FROM contact_change")
        execute(
            context,
            sql.SQL("UPDATE contact SET {} = {}").format(
                sql.Identifier(column["name"]), sql.SQL(values[column["type"]])
            ),
        )
        assert execute(context, "SELECT contact_id FROM contact_change") == [{"contact_id": contact}], column


def test_contact_moved_to_another_origin_is_exported_there(context: Context):
    contact = add_contact(context)
    execute(context, "UPDATE contact SET origin_kind = 'api', origin_id = 456 WHERE id = %s", (contact,))
    assert exported_ids(context, now_settings()) == []
    assert exported_ids(context, now_settings(origin="api", origin_ids=(456,))) == [contact]
    assert exported_ids(context, now_settings(origin="all", origin_ids=())) == [contact]


def test_contact_with_a_new_id_is_exported_as_changed(context: Context):
    contact = add_contact(context)
    execute(context, "DELETE FROM contact_change")
    execute(context, "UPDATE contact SET id = %s WHERE id = %s", (contact + 1000, contact))
    assert exported_ids(context, now_settings()) == [contact + 1000]


THREE = "INSERT INTO contact (id, origin_kind, origin_id) VALUES (1, 'form', 123), (2, 'form', 123), (3, 'form', 123)"


@pytest.mark.parametrize(
    "statement",
    [
        THREE,
        f"{THREE} ON CONFLICT (id) DO UPDATE SET first_name = 'again'",
        f"WITH new AS ({THREE} RETURNING id) SELECT count(*) FROM new",
        "INSERT INTO contact (id, origin_kind, origin_id) SELECT n, 'form', 123 FROM generate_series(1, 3) AS n",
    ],
)
def test_every_kind_of_write_is_logged(context: Context, statement: str):
    execute(context, statement)
    assert exported_ids(context, now_settings()) == [1, 2, 3]
    execute(context, "DELETE FROM contact_change")
    execute(
        context,
        "INSERT INTO contact (id) VALUES (1), (2) ON CONFLICT (id) DO UPDATE SET first_name ="
        " CASE contact.id WHEN 1 THEN 'upserted' ELSE contact.first_name END",
    )
    assert exported_ids(context, now_settings()) == [1]


def test_rolled_back_change_is_not_exported(context: Context):
    with other_session(context, autocommit=False) as conn, conn.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123)")
        conn.rollback()
    assert exported_ids(context, now_settings()) == []


def test_change_has_the_time_of_its_statement_not_of_its_transaction(context: Context):
    with other_session(context, autocommit=False) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT now()")
        started = cursor.fetchone()[0]
        cursor.execute("SELECT pg_sleep(0.01)")
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        cursor.execute("SELECT changed_at FROM contact_change")
        assert cursor.fetchone()[0] > started


def test_program_with_rights_on_contacts_only_is_logged(context: Context, database_name: str):
    role = sql.Identifier(f"{database_name}_crm")
    with other_session(context) as conn, conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            cursor.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE ON contact TO {}").format(role))
            cursor.execute(sql.SQL("SET ROLE {}").format(role))
            cursor.execute("SET search_path = ''")
            cursor.execute("INSERT INTO public.contact (origin_kind, origin_id) VALUES ('form', 123)")
            cursor.execute("INSERT INTO public.contact (origin_kind, origin_id) VALUES ('form', 123)")
            cursor.execute("UPDATE public.contact SET first_name = 'x'")
        finally:
            cursor.execute("RESET ROLE; RESET search_path")
            cursor.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))
    assert len(exported_ids(context, now_settings())) == 2


def test_temporary_table_does_not_hide_the_log(context: Context):
    with other_session(context) as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE contact_change (LIKE contact_change)")
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123)")
    assert len(exported_ids(context, now_settings())) == 1


REFUSED = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$"
IMPOSTORS = f"""
CREATE SCHEMA impostors;
CREATE FUNCTION impostors.clock_timestamp() RETURNS timestamptz {REFUSED};
CREATE FUNCTION impostors.now() RETURNS timestamptz {REFUSED};
CREATE FUNCTION impostors.pg_sequence_last_value(regclass) RETURNS bigint {REFUSED};
CREATE FUNCTION impostors.contact_change_time() RETURNS timestamptz {REFUSED};
CREATE FUNCTION impostors.current_setting(text) RETURNS text {REFUSED};
CREATE FUNCTION impostors.set_config(text, text, boolean) RETURNS text {REFUSED};
CREATE FUNCTION impostors.differ(record, record) RETURNS boolean {REFUSED};
CREATE FUNCTION impostors.same(text, text) RETURNS boolean {REFUSED};
CREATE FUNCTION impostors.before(timestamptz, timestamptz) RETURNS boolean {REFUSED};
CREATE FUNCTION impostors.later(timestamptz, interval) RETURNS timestamptz {REFUSED};
CREATE FUNCTION impostors.times(bigint, interval) RETURNS interval {REFUSED};
CREATE OPERATOR impostors.*<> (LEFTARG = record, RIGHTARG = record, FUNCTION = impostors.differ);
CREATE OPERATOR impostors.= (LEFTARG = text, RIGHTARG = text, FUNCTION = impostors.same);
CREATE OPERATOR impostors.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = impostors.before);
CREATE OPERATOR impostors.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = impostors.before);
CREATE OPERATOR impostors.+ (LEFTARG = timestamptz, RIGHTARG = interval, FUNCTION = impostors.later);
CREATE OPERATOR impostors.* (LEFTARG = bigint, RIGHTARG = interval, FUNCTION = impostors.times);
CREATE TABLE impostors.contact_change (LIKE public.contact_change);
CREATE DOMAIN impostors.text AS integer;
CREATE DOMAIN impostors.timestamptz AS integer;
CREATE DOMAIN impostors.int8 AS pg_catalog.bool;
"""


@pytest.mark.parametrize("contacts", [1, 2, 200])
def test_logging_a_change_calls_no_function_of_another_schema(context: Context, contacts: int):
    """It would run with the rights of the log's owner."""
    with other_session(context, autocommit=False) as conn, conn.cursor() as cursor:
        cursor.execute(IMPOSTORS)
        cursor.execute("SET search_path = impostors, pg_catalog, public")
        cursor.execute("SELECT public.contact_change_time()")
        cursor.execute("INSERT INTO contact (origin_id) SELECT 1 FROM generate_series(1, %s)", (contacts,))
        cursor.execute("UPDATE contact SET first_name = 'x'")
        cursor.execute("SELECT count(*) FROM public.contact_change")
        assert cursor.fetchone()[0] == 2 * contacts
        cursor.execute("UPDATE contact SET first_name = 'x'")
        cursor.execute("SHOW search_path")
        assert cursor.fetchone()[0] == "impostors, pg_catalog, public"
        cursor.execute("SELECT count(*) FROM public.contact_change")
        assert cursor.fetchone()[0] == 2 * contacts


def test_change_of_any_year_is_logged(context: Context):
    moments = [START.replace(year=1970), START, START.replace(year=2400)]
    contact = add_contact(context)
    for moment in moments:
        change(context, contact, moment)
    with context.database.transaction() as conn:
        change_log.prepare_months(conn)
    assert exported_ids(context, settings_for(start=moments[0], end=moments[0] + MICROSECOND)) == [contact]
    assert exported_ids(context, settings_for(start=START, end=START + MICROSECOND)) == [contact]


def test_months_are_prepared_once_and_a_month_with_stray_changes_is_skipped(context: Context):
    def make(first: str, last: str) -> int:
        return execute(context, "SELECT contact_change_months(%s, %s) AS made", (first, last))[0]["made"]

    assert make("2012-01-15", "2012-03-01") == 3
    assert make("2012-01-15", "2012-04-01") == 1
    contact = contact_changed(context, END.replace(month=6))
    assert make("2012-05-01", "2012-07-31") == 2
    change(context, contact, END.replace(month=7))
    where = execute(
        context,
        "SELECT tableoid::regclass::text AS part FROM contact_change WHERE changed_at < '2013-01-01' ORDER BY 1 DESC",
    )
    assert [row["part"] for row in where] == ["contact_change_other", "contact_change_2012_07"]


def test_status_shows_estimated_rows_first_and_exact_rows_in_the_end(context: Context, monkeypatch: pytest.MonkeyPatch):
    """One of the changed contacts was deleted. The estimate does not know that."""
    contact_changed(context)
    gone = contact_changed(context)
    execute(context, "DELETE FROM contact WHERE id = %s", (gone,))
    export_id = request(context, settings_for())
    told = []

    def shown() -> tuple[Any, ...]:
        payload = status.status(context, export_id, TESTER)
        return payload["rows"], payload["rows_expected"], payload["rows_expected_exact"]

    write = run_export.write_rows
    monkeypatch.setattr(run_export, "write_rows", lambda *given: (told.append(shown()), write(*given))[1])
    told.append(shown())
    run(context, export_id)
    assert [*told, shown()] == [(None, None, False), (None, 2, False), (1, 1, True)]
