"""What is known of an export before it is asked for."""

import dataclasses

import pytest

from contactexport.context import Context
from contactexport.db.connection import Database
from contactexport.errors import DatabaseUnavailable
from contactexport.exports import preview
from contactexport.users.models import Caller
from tests.support.exporting import END, TESTER, contact_changed, execute, export_file, request, run, settings_for

OPERATOR = Caller("olga", operator=True)


def expected(context: Context, caller: Caller = OPERATOR, **changes):
    return preview.preview(context, settings_for(**changes), caller)


def test_preview_counts_the_contacts_that_the_export_then_has(context):
    for _ in range(3):
        contact_changed(context, first_name="Anna")
    contact_changed(context, origin_id=124)
    found = expected(context)
    assert (found.contacts, found.uncounted) == (3, "")
    assert len(export_file(context, settings_for()).splitlines()) == 3


def test_preview_stores_nothing(context):
    expected(context)
    assert execute(context, "SELECT id FROM export") == []


def test_window_that_has_not_begun_has_no_contacts(context):
    contact_changed(context)
    assert expected(context, start=END.replace(year=2098), end=END.replace(year=2099)).contacts == 0


def test_counting_that_takes_too_long_is_given_up(context, monkeypatch):
    monkeypatch.setattr(preview, "MEASURE_SECONDS", 0.2)
    with context.database.transaction() as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE contact_change IN ACCESS EXCLUSIVE MODE")
        found = expected(context)
    assert found.contacts is None
    assert found.uncounted.startswith("more than can be counted in")
    with context.database.autocommit() as conn, conn.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()["statement_timeout"] == "0"


def test_reason_why_nothing_was_counted_is_that_of_the_status(context):
    """The text of Postgres may have a value of a contact, and the query."""
    contact_changed(context, zip_code="many")
    execute(context, "UPDATE contact_change SET kind = 'c', changed_at = '2012-02-09'")
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT id, origin_kind, origin_id, email,"
        " first_name FROM customer WHERE zip_code::integer > 0",
    )
    found = expected(context, type="registrations")
    assert found.contacts is None
    assert found.uncounted == "A value of a contact cannot be read: invalid text representation (22P02)"


def test_page_is_not_told_where_the_contacts_are(context):
    away = dataclasses.replace(context, contacts=Database(lambda: "postgresql://anna@127.0.0.1:1/secret", "public"))
    with pytest.raises(DatabaseUnavailable):
        preview.preview(away, settings_for(), OPERATOR)


def test_size_and_time_are_unknown_without_an_export_of_the_same_fields(context):
    contact_changed(context)
    export_file(context, settings_for(contact_fields=(1,)))
    found = expected(context)
    assert (found.past, found.bytes, found.seconds) == (None, None, None)


def test_size_and_time_follow_what_earlier_exports_of_the_same_fields_took(context):
    for _ in range(4):
        contact_changed(context, first_name="Anna")
    export_id = request(context, settings_for())
    run(context, export_id)
    execute(
        context,
        "UPDATE export SET rows = 1000, bytes = 50000, finished_at = started_at + interval '2 seconds' WHERE id = %s",
        (export_id,),
    )
    found = expected(context)
    assert found.past == preview.Past(1, 1000, 1000, 50000, 2.0)
    assert (found.bytes, round(found.seconds, 6)) == (200, 0.008)


def test_export_that_is_far_larger_than_any_before_gets_no_time():
    found = preview.Preview(100_000, "", preview.Past(1, 10, 10, 500, 1.0), None, None)
    assert (found.is_far_larger, found.seconds, found.bytes) == (True, None, 5_000_000)


def test_exports_of_other_teams_tell_a_user_nothing(context):
    contact_changed(context)
    export_file(context, settings_for())
    assert expected(context, Caller("tim", team="shop")).past is None


def test_unfinished_export_of_the_same_setting_is_named(context):
    export_id = request(context, settings_for())
    assert expected(context).running == export_id
    assert expected(context, Caller("tim", team="shop")).running is None


def test_limit_of_the_user_is_told_once_it_is_reached(context):
    request(context, settings_for())
    assert expected(context, TESTER).too_many is None
    assert expected(context, dataclasses.replace(TESTER, exports_per_user=1)).too_many == 1


def test_next_window_begins_where_the_last_one_of_the_same_setting_ended(context):
    contact_changed(context)
    settings = settings_for()
    assert preview.last_end(context, settings, "default") is None
    export_file(context, settings)
    other_window = dataclasses.replace(settings, start=END, end=END.replace(year=2013), may_end_early=True)
    assert preview.last_end(context, other_window, "default") == END
    assert preview.last_end(context, other_window, "shop") is None
    assert preview.last_end(context, dataclasses.replace(settings, delimiter=";"), "default") is None
