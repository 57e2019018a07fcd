"""Several sessions read a large export at once. The file is the same as from one session."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest

from contactexport.changes import readers as snapshot_readers
from contactexport.changes import selection as changed_contacts
from contactexport.contacts.ids import IdRange
from contactexport.contacts.table import PLAIN_TABLE
from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable, SnapshotNotShared
from contactexport.exports import cancel
from contactexport.exports import run as run_export
from contactexport.exports import store as export_store
from contactexport.files.writer import RowIndex
from tests.support.exporting import (
    START,
    TESTER,
    add_contact,
    around_now,
    contact_changed,
    context_with,
    execute,
    export_file,
    exported_ids,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)

LARGEST = 2**63 - 1
IDS = {
    "dense": range(1, 200),
    "sparse": [number**5 for number in range(1, 200)],
    "skewed": [*range(1, 190), *(LARGEST - number for number in range(10))],
    "negative": range(-100, 100),
    "fewer than readers": [7, 8],
    "one": [LARGEST],
    "none": [],
}


@pytest.fixture(autouse=True)
def small_exports_count_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changed_contacts, "CONTACTS_WORTH_A_RANGE", 1)
    monkeypatch.setattr(changed_contacts, "SAMPLED_ONE_OF", 1)


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> list[IdRange]:
    """The range of each reader, in the order in which they begin."""
    given: list[IdRange] = []
    original = changed_contacts.copy

    def noted(conn, selection, ids, to):
        given.append(ids)
        return original(conn, selection, ids, to)

    monkeypatch.setattr(changed_contacts, "copy", noted)
    return given


def records(content: bytes) -> list[bytes]:
    """The header and the rows of a file in which each row has one quoted name with one line break."""
    lines = content.splitlines(keepends=True)
    return [lines[0], *(first + second for first, second in zip(lines[1::2], lines[2::2], strict=True))]


def contacts_changed(context: Context, ids) -> None:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        for one in ids:
            cursor.execute(
                "INSERT INTO contact (id, origin_kind, origin_id, first_name, email) VALUES (%s, 'form', 123, %s, %s)",
                (one, f'"{one}"\nand more', "é" * (one % 50)),
            )
        cursor.execute("UPDATE contact_change SET changed_at = %s", (START,))


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_file_is_the_same_with_any_number_of_readers(context: Context, ids, ranges: list[IdRange]):
    contacts_changed(context, ids)
    alone = export_file(context_with(context, parallel_readers=1), settings_for(header=True))
    assert alone.count(b"and more") == len(ids)
    for readers in (2, 3, 8):
        ranges.clear()
        together = context_with(context, parallel_readers=readers)
        export = run(together, request(together, settings_for(header=True)))
        assert (together.settings.storage_dir / export.file_name).read_bytes() == alone
        assert (export.rows, export.bytes) == (len(ids), len(alone))
        assert len(ranges) == readers if len(ids) > readers else len(ranges) <= readers
        with context.database.transaction() as conn:
            marks = RowIndex(export_store.row_marks(conn, export.id))
        with (together.settings.storage_dir / export.file_name).open("rb") as file:
            offsets = [marks.offset_of(file, row) for row in range(len(ids) + 2)]
        assert offsets == [*accumulate((len(line) for line in records(alone)), initial=0)]


def test_contact_with_most_changes_is_in_one_range(context: Context, ranges: list[IdRange]):
    ids = [contact_changed(context) for _ in range(10)]
    execute(
        context,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)"
        " SELECT %s, 'form', 123, '2012-03-01' FROM generate_series(1, 500)",
        (ids[4],),
    )
    assert exported_ids(context_with(context, parallel_readers=2), settings_for()) == ids
    assert sorted(ranges, key=lambda one: one.first)[0].last == ids[4]


def test_all_readers_see_one_snapshot(context: Context, monkeypatch: pytest.MonkeyPatch):
    contacts = [add_contact(context, first_name="before") for _ in range(20)]
    original = snapshot_readers.join

    def changed_before_each(conn, snapshot):
        execute(context, "UPDATE contact SET first_name = 'after'")
        add_contact(context, first_name="after")
        original(conn, snapshot)

    monkeypatch.setattr(snapshot_readers, "join", changed_before_each)
    written = export_file(context_with(context, parallel_readers=4), settings_for(**around_now()))
    assert written.count(b"before") == len(contacts)
    assert b"after" not in written


def test_first_failure_ends_all_readers_and_leaves_no_file(context: Context, monkeypatch: pytest.MonkeyPatch):
    contacts_changed(context, range(1, 50))
    original = changed_contacts.copy

    def second_fails(conn, selection, ids, to):
        with conn.cursor() as cursor:
            if ids.first > PLAIN_TABLE.all_ids.first:
                cursor.execute("SELECT no_such_column")
            cursor.execute("SELECT pg_sleep(100)")
        return original(conn, selection, ids, to)

    monkeypatch.setattr(changed_contacts, "copy", second_fails)
    together = context_with(context, parallel_readers=2)
    export = run(together, request(together, settings_for()))
    assert (export.status, export.error) == ("in progress", "The contacts database refuses the query")
    assert list(together.settings.storage_dir.glob("[!.]*")) == []
    assert threading.active_count() == 1


def test_cancel_ends_all_readers_of_the_export(context: Context):
    contacts_changed(context, range(1, 50))
    together = context_with(context, parallel_readers=3)
    export_id = request(together, settings_for())
    with other_session(context, autocommit=False) as blocking, ThreadPoolExecutor(1) as worker:
        with blocking.cursor() as cursor:
            cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        running = worker.submit(run_export.run, together, export_id)
        while row_of(context, export_id)["status"] != "in progress":
            pass
        cancel.cancel(context, export_id, TESTER)
        assert running.result() is None
    assert not together.settings.storage_dir.exists() or list(together.settings.storage_dir.glob("[!.]*")) == []


@pytest.mark.parametrize("reason", [SnapshotNotShared("another server"), DatabaseUnavailable("no connection is left")])
def test_one_session_reads_alone_when_no_other_can_join(
    context: Context, monkeypatch: pytest.MonkeyPatch, reason, ranges
):
    contacts_changed(context, range(1, 50))

    refused = []

    def refuse(session, _):
        refused.append(session)
        raise reason

    monkeypatch.setattr(snapshot_readers, "join", refuse)
    assert exported_ids(context_with(context, parallel_readers=4), settings_for(contact_fields=(3,))) == [*range(1, 50)]
    assert ranges == [PLAIN_TABLE.all_ids]
    if isinstance(reason, SnapshotNotShared):  # so the next export opens a new one, which may reach another server
        assert [bool(session.closed) for session in refused] == [True]


def test_estimate_of_many_rows_is_within_a_tenth(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(changed_contacts, "SAMPLED_ONE_OF", 64)
    execute(
        context,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)"
        " SELECT n * 977, 'form', 123, '2012-03-01' FROM generate_series(1, 100000) AS n",
    )
    together = context_with(context, parallel_readers=2)
    noted: list[int] = []
    note = export_store.note_expected_rows
    monkeypatch.setattr(export_store, "note_expected_rows", lambda *values: (noted.append(values[-1]), note(*values)))
    export = run(together, request(together, settings_for()))
    assert noted == [pytest.approx(100_000, rel=0.1)]
    assert (export.rows, export.rows_expected) == (0, 0)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has it")
def test_only_reader_threads_are_scheduled_as_batch(context: Context, monkeypatch):
    contacts_changed(context, range(1, 50))
    policies: list[int] = []
    original = changed_contacts.copy

    def noted(*arguments):
        policies.append(os.sched_getscheduler(0))
        return original(*arguments)

    monkeypatch.setattr(changed_contacts, "copy", noted)
    export_file(context_with(context, parallel_readers=2), settings_for())
    assert policies == [os.SCHED_BATCH, os.SCHED_BATCH]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_export_works_where_threads_cannot_be_scheduled_as_batch(context: Context, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    contacts_changed(context, range(1, 50))
    assert exported_ids(context_with(context, parallel_readers=2), settings_for(contact_fields=(3,))) == [*range(1, 50)]


def test_next_export_of_a_process_reuses_its_sessions(context: Context):
    """They are one for the lock and one for each reader. Between exports they hold no locks."""
    contacts_changed(context, range(1, 50))
    together = context_with(context, parallel_readers=3)
    sessions = []
    for language in ("en", "de"):
        export_file(together, settings_for(language=language))
        sessions.append(
            execute(
                context,
                "SELECT pid, state, (SELECT count(*) FROM pg_locks AS l WHERE l.pid = a.pid) AS locks"
                " FROM pg_stat_activity AS a WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND query NOT LIKE 'SELECT pid%%' ORDER BY pid",
            )
        )
    assert sessions[0] == sessions[1]
    assert len(sessions[0]) >= 4
    assert {(one["state"], one["locks"]) for one in sessions[0]} == {("idle", 0)}


def test_small_export_is_counted_exactly_and_read_by_one_session(context: Context, monkeypatch, ranges: list[IdRange]):
    monkeypatch.undo()
    contacts_changed(context, range(1, 50))
    together = context_with(context, parallel_readers=4)
    export = run(together, request(together, settings_for()))
    assert (export.rows_expected, export.rows) == (49, 49)
