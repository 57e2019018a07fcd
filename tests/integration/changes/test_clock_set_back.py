"""A database clock that is set back loses no change and exports none twice."""

from datetime import datetime, timedelta

import pytest

from contactexport.context import Context
from contactexport.exports import deliver
from tests.support.exporting import add_contact, around_now, execute, other_session, request, run, settings_for

# The log's functions call this clock_timestamp(), whose time a test can set.
CLOCK = """
CREATE SCHEMA clock;
CREATE TABLE clock.ahead (seconds integer);
INSERT INTO clock.ahead VALUES (0);
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER
    AS 'SELECT pg_catalog.clock_timestamp() + seconds * interval ''1 second'' FROM clock.ahead';
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN SELECT oid FROM pg_proc WHERE proname ~ '^contact_(log|change)_' LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = clock, pg_catalog, public, pg_temp', one);
    END LOOP;
END $$;
"""


@pytest.fixture
def clock(context: Context) -> None:
    execute(context, CLOCK)


def set_clock(context: Context, ahead: int) -> None:
    execute(context, "UPDATE clock.ahead SET seconds = %s", (ahead,))


def exported(context: Context, start: datetime) -> tuple[list[int], datetime]:
    """The contacts of a window that ends now, and the start of the next window."""
    end = around_now()["end"] + timedelta(days=3)
    export = run(context, request(context, settings_for(start=start, end=end)))
    lines = deliver.stored_file(context, export).read_bytes().splitlines()
    return [int(line.split(b",")[0]) for line in lines], export.effective_until


def changed_at(context: Context, contact: int) -> datetime:
    return execute(context, "SELECT changed_at FROM contact_change WHERE contact_id = %s", (contact,))[0]["changed_at"]


@pytest.mark.usefixtures("clock")
def test_changes_after_the_clock_is_set_back_are_in_the_next_window(context: Context):
    set_clock(context, 120)
    before = add_contact(context)
    told, edge = exported(context, around_now()["start"])
    assert told == [before]
    set_clock(context, 60)
    after = add_contact(context)
    told, until = exported(context, edge)
    assert (told, until) == ([], edge)
    set_clock(context, 180)
    assert exported(context, until)[0] == [after]


@pytest.mark.usefixtures("clock")
def test_no_change_is_dated_before_its_transaction(context: Context):
    """An export that ends its window at the start of a writer relies on this."""
    set_clock(context, -60)
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        cursor.execute("SELECT now(), changed_at FROM contact_change")
        started, changed_at = cursor.fetchone()
    assert changed_at == started


@pytest.mark.usefixtures("clock")
def test_clock_that_was_days_ahead_delays_no_change_for_days(context: Context):
    set_clock(context, 2 * 86400)
    exported(context, around_now()["start"])
    set_clock(context, 120)
    assert changed_at(context, add_contact(context)) < around_now()["end"]
    _, edge = exported(context, around_now()["start"])
    set_clock(context, 60)
    assert changed_at(context, add_contact(context)) >= edge
