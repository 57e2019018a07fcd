"""A database clock that is set back loses no change and tells none twice."""

from datetime import datetime, timedelta

import pytest
from exporting import add_contact, around_now, execute, other_session, request, run, settings_for

from contactexport.backend import Backend
from contactexport.services import deliver_export

# Functions of the log that ask for clock_timestamp() get this one's time, which can be set.
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
def clock(backend: Backend) -> None:
    execute(backend, CLOCK)


def set_clock(backend: Backend, ahead: int) -> None:
    execute(backend, "UPDATE clock.ahead SET seconds = %s", (ahead,))


def exported(backend: Backend, start: datetime) -> tuple[list[int], datetime]:
    """The contacts of an open window, and the start of the next."""
    end = around_now()["end"] + timedelta(days=3)
    export = run(backend, request(backend, settings_for(start=start, end=end)))
    lines = deliver_export.stored_file(backend, export).read_bytes().splitlines()
    return [int(line.split(b",")[0]) for line in lines], export.effective_until


def changed_at(backend: Backend, contact: int) -> datetime:
    return execute(backend, "SELECT changed_at FROM contact_change WHERE contact_id = %s", (contact,))[0]["changed_at"]


@pytest.mark.usefixtures("clock")
def test_changes_after_the_clock_was_set_back_are_in_the_next_window(backend: Backend):
    set_clock(backend, 120)
    before = add_contact(backend)
    told, edge = exported(backend, around_now()["start"])
    assert told == [before]
    set_clock(backend, 60)
    after = add_contact(backend)
    told, until = exported(backend, edge)
    assert (told, until) == ([], edge)
    set_clock(backend, 180)
    assert exported(backend, until)[0] == [after]


@pytest.mark.usefixtures("clock")
def test_no_change_has_a_time_before_its_transaction(backend: Backend):
    """What an export relies on when it leaves out the changes of a transaction by its start."""
    set_clock(backend, -60)
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        cursor.execute("SELECT now(), changed_at FROM contact_change")
        started, changed_at = cursor.fetchone()
    assert changed_at == started


@pytest.mark.usefixtures("clock")
def test_a_clock_that_was_days_ahead_holds_no_change_back_for_days(backend: Backend):
    set_clock(backend, 2 * 86400)
    exported(backend, around_now()["start"])
    set_clock(backend, 120)
    assert changed_at(backend, add_contact(backend)) < around_now()["end"]
    _, edge = exported(backend, around_now()["start"])
    set_clock(backend, 60)
    assert changed_at(backend, add_contact(backend)) >= edge
