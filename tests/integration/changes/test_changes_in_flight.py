"""A transaction that is open while an export runs loses no change and exports none twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from contactexport.changes import log as change_log
from contactexport.changes import window as change_window
from contactexport.context import Context
from contactexport.exports import run as run_export
from tests.support.exporting import (
    add_contact,
    around_now,
    database_time,
    execute,
    export_file,
    exported_ids,
    ids_in,
    other_session,
    request,
    run,
    settings_for,
    wait_until_waiting,
    with_wait,
)


def test_run_waits_for_writer_and_exports_its_change(context: Context):
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        written = cursor.fetchone()[0]
        end = database_time(context)
        export_id = request(context, settings_for(start=around_now()["start"], end=end))
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(run, context, export_id)
            wait_until_waiting(context)
            assert not running.done()
            writer.commit()
            export = running.result()
    assert export.effective_until == end
    assert ids_in(context, export) == [written]


def test_changes_of_a_writer_that_stays_open_come_in_the_next_window(context: Context):
    impatient = with_wait(context, 0.2)
    early = add_contact(context)
    window = around_now()
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("SELECT now()")
        started = cursor.fetchone()[0]
        meanwhile = add_contact(context)
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        slow = cursor.fetchone()[0]
        export = run(impatient, request(context, settings_for(**window)))
        assert export.effective_until == started
        assert ids_in(context, export) == [early]
        writer.commit()
    assert exported_ids(context, settings_for(start=started, end=window["end"])) == [meanwhile, slow]


def test_window_that_ends_before_the_writer_began_is_not_cut(context: Context):
    contact = add_contact(context)
    end = database_time(context)
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        settings = settings_for(start=around_now()["start"], end=end)
        export = run(with_wait(context, 0), request(context, settings))
    assert export.effective_until == end
    assert ids_in(context, export) == [contact]


def test_window_that_starts_after_the_writer_began_is_empty(context: Context):
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        start = database_time(context)
        add_contact(context)
        export = run(with_wait(context, 0), request(context, settings_for(start=start, end=around_now()["end"])))
    assert (export.status, export.rows, export.effective_until) == ("done", 0, start)


def test_window_that_reaches_into_the_future_ends_now(context: Context):
    before = database_time(context)
    export = run(context, request(context, settings_for(**around_now())))
    assert before < export.effective_until < database_time(context)


def test_window_in_the_future_is_empty_and_ends_at_its_start(context: Context):
    start = datetime(2400, 1, 1, tzinfo=UTC)
    export = run(context, request(context, settings_for(start=start, end=start.replace(year=2401))))
    assert (export.rows, export.effective_until) == (0, start)


def test_window_that_has_not_begun_waits_for_no_writer(context: Context):
    start = datetime(2400, 1, 1, tzinfo=UTC)
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        with context.contacts.session() as watching:
            assert change_window.settled_until(watching, start, start.replace(year=2401), 3600) == start


def test_writer_with_hidden_start_counts_as_oldest(context: Context, database_name: str):
    """Postgres shows when a transaction began only to members of its role and to monitors."""
    watcher = f"{database_name}_watcher"
    window = around_now()
    with other_session(context) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {watcher} LOGIN; GRANT SELECT ON adopted TO {watcher}")
        try:
            with other_session(context, autocommit=False) as writer, writer.cursor() as writing:
                writing.execute("INSERT INTO contact DEFAULT VALUES")
                with context.contacts.session() as watching:
                    with watching.cursor() as own:
                        own.execute(f"SET ROLE {watcher}")
                    assert list(change_window.writers_now(watching).values()) == [None]
                    assert change_window.settled_until(watching, window["start"], window["end"], 0) == window["start"]
        finally:
            cursor.execute(f"DROP OWNED BY {watcher}; DROP ROLE {watcher}")


def test_writer_that_begins_during_the_query_for_writers_does_not_cut_the_window(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    """Postgres may show its lock before it shows its start."""
    looks = []

    def writers_now(conn):
        looks.append(change_log.clock(conn))
        return {"3/14": looks[1] if len(looks) > 1 else None}

    window = around_now()
    monkeypatch.setattr(change_window, "writers_now", writers_now)
    with context.contacts.session() as watching:
        assert window["start"] < change_window.settled_until(watching, window["start"], window["end"], 0.1) <= looks[0]
    assert len(looks) == 2


@pytest.mark.parametrize("part", ["contact_change_other", "contact_change_2012_03"])
def test_export_waits_for_a_writer_of_a_single_partition(context: Context, part: str):
    execute(context, "SELECT contact_change_months('2012-03-01', '2012-03-01')")
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute(f"UPDATE {part} SET contact_id = 1")
        with context.contacts.session() as watching:
            assert len(change_window.writers_now(watching)) == 1


def test_readers_and_writers_of_other_tables_do_not_count_as_writers(context: Context):
    with other_session(context, autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change; UPDATE origin SET name = name")
        with context.contacts.session() as watching:
            assert change_window.writers_now(watching) == {}


def test_change_during_the_copy_is_not_in_the_file(context: Context, monkeypatch: pytest.MonkeyPatch):
    """There is one snapshot: rows, count and labels belong to the same moment."""
    contact = add_contact(context, gender=1)
    original = run_export.write_rows

    def change_meanwhile(*arguments):
        add_contact(context)
        execute(context, 'UPDATE contact SET gender = 2; UPDATE contact_field_choice SET labels = \'{"en": "late"}\'')
        return original(*arguments)

    monkeypatch.setattr(run_export, "write_rows", change_meanwhile)
    lines = export_file(context, settings_for(**around_now() | {"contact_fields": (5,)})).decode().splitlines()
    assert [line.split(",")[:2] for line in lines] == [[str(contact), "Male"]]
