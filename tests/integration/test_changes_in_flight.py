"""No change is lost to a transaction that is open while an export runs, and none is told twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from exporting import (
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

from contactexport.backend import Backend
from contactexport.db import change_repository
from contactexport.services import find_changes, run_export


def test_the_run_waits_for_a_writer_and_has_its_change(backend: Backend):
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        written = cursor.fetchone()[0]
        end = database_time(backend)
        export_id = request(backend, settings_for(start=around_now()["start"], end=end))
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(run, backend, export_id)
            wait_until_waiting(backend)
            assert not running.done()
            writer.commit()
            export = running.result()
    assert export.effective_until == end
    assert ids_in(backend, export) == [written]


def test_a_writer_that_stays_open_moves_its_changes_to_the_next_window(backend: Backend):
    impatient = with_wait(backend, 0.2)
    early = add_contact(backend)
    window = around_now()
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("SELECT now()")
        started = cursor.fetchone()[0]
        meanwhile = add_contact(backend)
        cursor.execute("INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123) RETURNING id")
        slow = cursor.fetchone()[0]
        export = run(impatient, request(backend, settings_for(**window)))
        assert export.effective_until == started
        assert ids_in(backend, export) == [early]
        writer.commit()
    assert exported_ids(backend, settings_for(start=started, end=window["end"])) == [meanwhile, slow]


def test_a_window_before_the_writers_start_is_not_cut(backend: Backend):
    contact = add_contact(backend)
    end = database_time(backend)
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        settings = settings_for(start=around_now()["start"], end=end)
        export = run(with_wait(backend, 0), request(backend, settings))
    assert export.effective_until == end
    assert ids_in(backend, export) == [contact]


def test_a_writer_that_started_before_the_window_leaves_it_empty(backend: Backend):
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        start = database_time(backend)
        add_contact(backend)
        export = run(with_wait(backend, 0), request(backend, settings_for(start=start, end=around_now()["end"])))
    assert (export.status, export.rows, export.effective_until) == ("done", 0, start)


def test_a_window_that_reaches_into_the_future_ends_now(backend: Backend):
    before = database_time(backend)
    export = run(backend, request(backend, settings_for(**around_now())))
    assert before < export.effective_until < database_time(backend)


def test_a_window_in_the_future_is_empty_and_ends_at_its_start(backend: Backend):
    start = datetime(2400, 1, 1, tzinfo=UTC)
    export = run(backend, request(backend, settings_for(start=start, end=start.replace(year=2401))))
    assert (export.rows, export.effective_until) == (0, start)


def test_nobody_is_waited_for_by_a_window_that_has_not_begun(backend: Backend):
    start = datetime(2400, 1, 1, tzinfo=UTC)
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        with backend.contacts.session() as watching:
            assert find_changes.settle(watching, start, start.replace(year=2401), 3600) == start


def test_a_writer_whose_start_is_hidden_counts_as_older_than_everything(backend: Backend, database_name: str):
    """Postgres shows the start of another role's transaction to its members and monitors only."""
    watcher = f"{database_name}_watcher"
    window = around_now()
    with other_session(backend) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {watcher} LOGIN")
        try:
            with other_session(backend, autocommit=False) as writer, writer.cursor() as writing:
                writing.execute("INSERT INTO contact DEFAULT VALUES")
                with backend.contacts.session() as watching:
                    with watching.cursor() as own:
                        own.execute(f"SET ROLE {watcher}")
                    assert list(change_repository.writers_now(watching).values()) == [None]
                    assert find_changes.settle(watching, window["start"], window["end"], 0) == window["start"]
        finally:
            cursor.execute(f"DROP ROLE {watcher}")


def test_a_writer_that_begins_while_the_locks_are_looked_at_does_not_cut_the_window(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
):
    """Its lock may be seen and its start not yet: Postgres shows them one after the other."""
    looks = []

    def writers_now(conn):
        looks.append(change_repository.clock(conn))
        return {"3/14": looks[1] if len(looks) > 1 else None}

    window = around_now()
    monkeypatch.setattr(change_repository, "writers_now", writers_now)
    with backend.contacts.session() as watching:
        assert window["start"] < find_changes.settle(watching, window["start"], window["end"], 0.1) <= looks[0]
    assert len(looks) == 2


@pytest.mark.parametrize("part", ["contact_change_other", "contact_change_2012_03"])
def test_who_writes_a_part_of_the_log_directly_is_waited_for(backend: Backend, part: str):
    execute(backend, "SELECT contact_change_months('2012-03-01', '2012-03-01')")
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute(f"UPDATE {part} SET contact_id = 1")
        with backend.contacts.session() as watching:
            assert len(change_repository.writers_now(watching)) == 1


def test_readers_and_writers_of_other_tables_are_not_waited_for(backend: Backend):
    with other_session(backend, autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change; UPDATE origin SET name = name")
        with backend.contacts.session() as watching:
            assert change_repository.writers_now(watching) == {}


def test_a_change_during_the_copy_is_not_in_the_file(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    """The snapshot is taken once: rows, count and labels are of one moment."""
    contact = add_contact(backend, gender=1)
    original = run_export._fields

    def change_meanwhile(catalogue, export):
        add_contact(backend)
        execute(backend, 'UPDATE contact SET gender = 2; UPDATE contact_field_choice SET labels = \'{"en": "late"}\'')
        return original(catalogue, export)

    monkeypatch.setattr(run_export, "_fields", change_meanwhile)
    lines = export_file(backend, settings_for(**around_now() | {"contact_fields": (5,)})).decode().splitlines()
    assert [line.split(",")[:2] for line in lines] == [[str(contact), "Male"]]
