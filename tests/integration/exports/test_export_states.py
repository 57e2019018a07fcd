"""The state machine of an export: which transitions the store makes, and which it refuses."""

import dataclasses
import threading
from datetime import UTC, datetime

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning, ExportLost, UnknownExport
from contactexport.exports import accept
from contactexport.exports import run as run_export
from contactexport.exports import status as export_status
from contactexport.exports import store as export_store
from contactexport.exports.models import LEGAL_TRANSITIONS, Export, ExportStatus
from contactexport.files.export_file import WrittenFile
from contactexport.files.writer import RowIndex
from contactexport.manifests.manifest import FileContent
from tests.support.exporting import (
    END,
    PASSWORD,
    START,
    TESTER,
    by_ftp,
    execute,
    make_due,
    other_session,
    request,
    row_of,
    run,
    seconds_until_due,
    settings_for,
)

WRITTEN = FileContent(
    export=1,
    name="changes.csv",
    window=(START, END),
    complete_from=None,
    columns=[(None, "user_id")],
    removed=0,
    written=WrittenFile(rows=1, bytes=2, sha256="ab", marks=RowIndex()),
)
STATUSES = list(ExportStatus)

MOVES = {
    "claim": lambda conn, export: export_store.claim(conn, export.id, export.setting_key),
    "ready": lambda conn, export: export_store.mark_ready(conn, export, WRITTEN, delivery_attempts=1),
    "done": export_store.mark_done,
    "error": lambda conn, export: export_store.mark_error(conn, export, "reason"),
    "postpone": lambda conn, export: export_store.postpone(conn, export, 60, "reason"),
    "wait": lambda conn, export: export_store.wait_for_writers(conn, export, 60, "reason"),
    "retry": lambda conn, export: export_store.retry(conn, export, None, has_file=False),
    "cancel": lambda conn, export: export_store.cancel(conn, export.id),
}
REACHED = {
    ("claim", "scheduled"): "in progress",
    ("claim", "in progress"): "in progress",
    ("claim", "ready"): "ready",
    ("ready", "in progress"): "ready",
    ("done", "ready"): "done",
    ("error", "scheduled"): "error",
    ("error", "in progress"): "error",
    ("error", "ready"): "error",
    ("postpone", "in progress"): "in progress",
    ("postpone", "ready"): "ready",
    ("wait", "in progress"): "in progress",
    ("retry", "error"): "scheduled",
    ("cancel", "scheduled"): "error",
    ("cancel", "in progress"): "error",
    ("cancel", "ready"): "error",
}


def put(context: Context, export_id: int, status: str) -> Export:
    """Forces the export into a state, in its second attempt."""
    execute(
        context,
        "UPDATE export SET status = %(status)s, attempt = 2, ftp_secret = 'x', ready_at = NULL,"
        " due_at = CASE WHEN %(finished)s THEN NULL ELSE clock_timestamp() END,"
        " finished_at = CASE WHEN %(finished)s THEN clock_timestamp() END WHERE id = %(id)s",
        {"status": status, "finished": ExportStatus(status).finished, "id": export_id},
    )
    return read(context, export_id)


def read(context: Context, export_id: int) -> Export:
    with context.database.transaction() as conn:
        return export_store.get(conn, export_id)


def tried(context: Context, move: str, export: Export) -> Export | None:
    try:
        with context.database.transaction() as conn:
            return MOVES[move](conn, export)
    except (ExportLost, UnknownExport):
        return None


def test_every_write_makes_only_its_legal_transitions(context: Context):
    export_id = request(context, settings_for())
    for move in MOVES:
        for status in STATUSES:
            export = put(context, export_id, status)
            moved = tried(context, move, export)
            after = read(context, export_id)
            expected = REACHED.get((move, status.value))
            assert (moved and moved.status) == expected, (move, status)
            assert after.status == (expected or status), (move, status)
            if expected is None:
                assert after == export
            else:
                assert after.status in LEGAL_TRANSITIONS[status]
            assert after.status.finished == (after.due_at is None) == (after.finished_at is not None)


def test_every_legal_transition_is_made_by_some_write():
    made = {(ExportStatus(status), ExportStatus(reached)) for (_move, status), reached in REACHED.items()}
    made.add((ExportStatus.ERROR, ExportStatus.READY))  # the retry of a finished file, see test_retry.py
    assert made == {(status, reached) for status, legal in LEGAL_TRANSITIONS.items() for reached in legal}


@pytest.mark.parametrize("move", ["ready", "done", "error", "postpone", "wait"])
def test_stale_attempt_writes_nothing(context: Context, move: str):
    export_id = request(context, settings_for())
    for status in ("scheduled", "in progress", "ready"):
        current = put(context, export_id, status)
        outdated = dataclasses.replace(current, attempt=1)
        assert tried(context, move, outdated) is None
        assert read(context, export_id) == current
        with context.database.transaction() as conn:
            export_store.require_attempt(conn, current)
            with pytest.raises(ExportLost, match=f"export {export_id} is no longer attempt 1's"):
                export_store.require_attempt(conn, outdated)
            with pytest.raises(ExportLost):
                export_store.note_expected_rows(conn, outdated, 5)


def test_claim_raises_attempt_and_takes_only_due_exports(context: Context):
    export_id = request(context, settings_for())
    with context.database.transaction() as conn:
        first = export_store.claim(conn, export_id, settings_for().key())
        second = export_store.claim(conn, export_id, settings_for().key())
    assert [(one.attempt, one.run_attempts, one.delivery_attempts) for one in (first, second)] == [(1, 1, 0), (2, 2, 0)]
    assert second.started_at == first.started_at
    execute(context, "UPDATE export SET due_at = clock_timestamp() + interval '1 minute' WHERE id = %s", (export_id,))
    assert run_export.run(context, export_id) is None
    assert read(context, export_id).attempt == 2
    make_due(context, export_id)
    assert run(context, export_id).status == "done"


def test_delivery_keeps_the_attempt_and_fences_off_the_writer_of_the_file(context: Context):
    export_id, key = request(context, by_ftp(21)), by_ftp(21).key()
    with context.database.transaction() as conn:
        writing = export_store.claim(conn, export_id, key)
        export_store.mark_ready(conn, writing, WRITTEN, delivery_attempts=0)
        delivering = export_store.claim(conn, export_id, key)
        assert (delivering.attempt, delivering.delivery_attempts) == (1, 1)
    for move in ("ready", "error", "postpone", "wait"):
        assert tried(context, move, writing) is None
    with context.database.transaction() as conn:
        again = export_store.claim(conn, export_id, key)
        assert (again.attempt, again.delivery_attempts) == (2, 2)
    assert tried(context, "done", delivering) is None
    assert tried(context, "done", again).status == "done"


def test_claim_under_a_former_key_returns_none(context: Context):
    former = settings_for().key()
    export_id = request(context, settings_for())
    execute(context, "UPDATE export SET setting_key = %s WHERE id = %s", (former - 1, export_id))
    with context.database.transaction() as conn:
        assert export_store.claim(conn, export_id, former) is None
        assert export_store.claim(conn, export_id, former - 1) is not None


def test_attempt_ended_by_outage_does_not_count(context: Context):
    export_id = request(context, settings_for())
    with context.database.transaction() as conn:
        claimed = export_store.claim(conn, export_id, settings_for().key())
        counted = export_store.postpone(conn, claimed, 60, "disk")
        uncounted = export_store.postpone(conn, claimed, 60, "outage", counted=False)
    assert (counted.run_attempts, uncounted.run_attempts, uncounted.error) == (1, 0, "outage")
    assert 50 < seconds_until_due(context, export_id) <= 60


@pytest.mark.parametrize("end", ["done", "error", "cancel"])
def test_end_of_export_erases_the_password(context: Context, end: str):
    export_id = request(context, by_ftp(21))
    assert PASSWORD.encode() not in bytes(row_of(context, export_id)["ftp_secret"])
    export = read(context, export_id)
    assert context.secrets.decrypt(export.ftp_secret) == PASSWORD
    assert PASSWORD not in repr(row_of(context, export_id)["settings"])
    execute(context, "UPDATE export SET status = 'ready' WHERE id = %s", (export_id,))
    assert tried(context, end, export) is not None
    assert row_of(context, export_id)["ftp_secret"] is None


def test_table_refuses_rows_that_break_its_rules(context: Context):
    export_id = request(context, settings_for())
    for wrong in ("status = 'done'", "status = 'error'", "due_at = NULL", "finished_at = now()", "status = 'paused'"):
        with other_session(context) as conn, conn.cursor() as cursor, pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute(f"UPDATE export SET {wrong} WHERE id = {export_id}")


COPY_OF_ALL = (
    "INSERT INTO export (settings, setting_key, file_name, created_by)"
    " SELECT settings, setting_key, 'copy.csv', created_by FROM export"
)


def test_unique_index_refuses_same_setting_without_the_lock(context: Context):
    request(context, settings_for())
    execute(context, "UPDATE export SET status = 'done', due_at = NULL, finished_at = now() - interval '1 day'")
    with other_session(context, autocommit=False) as stranger, stranger.cursor() as cursor:
        cursor.execute(COPY_OF_ALL)
        commit = threading.Timer(0.3, stranger.commit)
        commit.start()
        with pytest.raises(ExportAlreadyRunning):
            request(context, settings_for())
        commit.join()
    with pytest.raises(psycopg2.errors.UniqueViolation):
        execute(context, COPY_OF_ALL)


def test_row_of_export_has_the_values_of_the_request(context: Context):
    settings = by_ftp(2121)
    export = read(context, request(context, settings))
    assert export.settings == settings
    assert export.setting_key == settings.key()
    assert (export.status, export.attempt, export.created_by) == ("scheduled", 0, "tester")
    assert export.file_name.startswith(f"changes_{export.id}_en-")


@pytest.mark.parametrize("export_id", [0, -1, 12345, 2**63, 10**30])
def test_unknown_id_raises_unknown_export(context: Context, export_id: int):
    with pytest.raises(UnknownExport, match="Invalid export ID"):
        read(context, export_id)
    with pytest.raises(UnknownExport):
        run_export.run(context, export_id)


def test_list_has_the_newest_exports_first(context: Context):
    ids = [request(context, settings_for(origin_ids=(origin_id,))) for origin_id in (1, 2, 3)]
    run(context, ids[0])

    def listed(**wanted) -> list[str]:
        values = {"status": None, "before": None, "limit": 100} | wanted
        return [payload["id"] for payload in export_status.newest(context, TESTER, **values)]

    assert listed() == [str(export_id) for export_id in reversed(ids)]
    assert listed(limit=1) == [str(ids[2])]
    assert listed(before=ids[1]) == [str(ids[0])]
    assert listed(status="done") == [str(ids[0])]
    assert listed(status="error") == []


def test_status_payload_is_that_of_the_specification(context: Context):
    before = datetime.now(UTC)
    export_id = request(context, by_ftp(2121, "a/b"))
    payload = export_status.status(context, export_id, TESTER)
    created = datetime.strptime(payload.pop("created"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert created >= before.replace(microsecond=0)
    assert payload == {
        "id": str(export_id), "status": "scheduled", "type": "changes", "distribution_method": "ftp", "origin": "form",
        "origin_id": [123], "contact_fields": [1, 3], "created_by": "tester", "file_name": None,
        "ftp_host": "127.0.0.1", "ftp_dir": "a/b", "rows": None, "rows_expected": None, "rows_expected_exact": False,
        "bytes": None, "sha256": None, "time_range": [START.isoformat(), END.isoformat()], "complete_from": None,
        "effective_until": None, "next_from": None,
        "attempts": 0, "delivery": [], "error": None, "next_attempt": None,
    }  # fmt: skip
    done = run(context, request(context, settings_for()))
    payload = export_status.status(context, done.id, TESTER)
    assert (payload["file_name"], payload["status"], payload["attempts"]) == (done.file_name, "done", 1)
    assert (payload["effective_until"], payload["rows"], payload["bytes"]) == (END.isoformat(), 0, 0)
    with pytest.raises(UnknownExport):
        export_status.status(context, 99, TESTER)


def test_status_shows_when_the_next_attempt_is_due(context: Context):
    export_id = request(context, by_ftp(1))
    waiting = run(context, export_id)
    payload = export_status.status(context, export_id, TESTER)
    assert (payload["status"], payload["error"]) == ("ready", "FTP host: Connection refused")
    assert datetime.fromisoformat(payload["next_attempt"]) == waiting.due_at > datetime.now(UTC)


def test_request_that_is_not_stored_is_not_published(context: Context):
    request(context, settings_for())
    with pytest.raises(ExportAlreadyRunning):
        accept.store(context, settings_for(notification_url="https://example.com/"), "other", "tester")
    assert len(execute(context, "SELECT id FROM export")) == 1
