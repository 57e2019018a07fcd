"""The state machine of an export: what the repository lets happen, and what it refuses."""

import dataclasses
import threading
from datetime import UTC, datetime

import psycopg2
import pytest
from exporting import (
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

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import ExportAlreadyRunning, ExportLost, UnknownExport
from contactexport.models import LEGAL_TRANSITIONS, Export, ExportStatus
from contactexport.services import request_export, run_export, track_export

WRITTEN = {
    "rows": 1, "bytes": 2, "sha256": "ab", "effective_until": END, "complete_from": None, "marks": b"",
    "delivery_attempts": 1,
}  # fmt: skip
STATUSES = list(ExportStatus)

MOVES = {
    "claim": lambda conn, export: export_repository.claim(conn, export.id, export.setting_key),
    "ready": lambda conn, export: export_repository.mark_ready(conn, export, **WRITTEN),
    "done": export_repository.mark_done,
    "error": lambda conn, export: export_repository.mark_error(conn, export, "reason"),
    "postpone": lambda conn, export: export_repository.postpone(conn, export, 60, "reason"),
    "wait": lambda conn, export: export_repository.wait_for_writers(conn, export, 60, "reason"),
    "retry": lambda conn, export: export_repository.retry(conn, export, None, has_file=False),
    "cancel": lambda conn, export: export_repository.cancel(conn, export.id),
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


def put(backend: Backend, export_id: int, status: str) -> Export:
    """Puts the export into a state, with a second attempt, by force."""
    execute(
        backend,
        "UPDATE export SET status = %(status)s, attempt = 2, ftp_secret = 'x', ready_at = NULL,"
        " due_at = CASE WHEN %(finished)s THEN NULL ELSE clock_timestamp() END,"
        " finished_at = CASE WHEN %(finished)s THEN clock_timestamp() END WHERE id = %(id)s",
        {"status": status, "finished": ExportStatus(status).finished, "id": export_id},
    )
    return read(backend, export_id)


def read(backend: Backend, export_id: int) -> Export:
    with backend.database.transaction() as conn:
        return export_repository.get(conn, export_id)


def tried(backend: Backend, move: str, export: Export) -> Export | None:
    try:
        with backend.database.transaction() as conn:
            return MOVES[move](conn, export)
    except (ExportLost, UnknownExport):
        return None


def test_every_move_leads_from_the_states_it_may_to_the_states_it_shall(backend: Backend):
    export_id = request(backend, settings_for())
    for move in MOVES:
        for status in STATUSES:
            export = put(backend, export_id, status)
            moved = tried(backend, move, export)
            after = read(backend, export_id)
            expected = REACHED.get((move, status.value))
            assert (moved and moved.status) == expected, (move, status)
            assert after.status == (expected or status), (move, status)
            if expected is None:
                assert after == export
            else:
                assert after.status in LEGAL_TRANSITIONS[status]
            assert after.status.finished == (after.due_at is None) == (after.finished_at is not None)


def test_every_legal_transition_is_made_by_something():
    made = {(ExportStatus(status), ExportStatus(reached)) for (_move, status), reached in REACHED.items()}
    made.add((ExportStatus.ERROR, ExportStatus.READY))  # a retry of a finished file, see test_retry.py
    assert made == {(status, reached) for status, legal in LEGAL_TRANSITIONS.items() for reached in legal}


@pytest.mark.parametrize("move", ["ready", "done", "error", "postpone", "wait"])
def test_an_outdated_attempt_writes_nothing(backend: Backend, move: str):
    export_id = request(backend, settings_for())
    for status in ("scheduled", "in progress", "ready"):
        current = put(backend, export_id, status)
        outdated = dataclasses.replace(current, attempt=1)
        assert tried(backend, move, outdated) is None
        assert read(backend, export_id) == current
        with backend.database.transaction() as conn:
            export_repository.require_attempt(conn, current)
            with pytest.raises(ExportLost, match=f"export {export_id} is not attempt 1's"):
                export_repository.require_attempt(conn, outdated)
            with pytest.raises(ExportLost):
                export_repository.note_expected_rows(conn, outdated, 5)


def test_a_claim_counts_and_one_that_is_not_due_is_not_claimed(backend: Backend):
    export_id = request(backend, settings_for())
    with backend.database.transaction() as conn:
        first = export_repository.claim(conn, export_id, settings_for().key())
        second = export_repository.claim(conn, export_id, settings_for().key())
    assert [(one.attempt, one.run_attempts, one.delivery_attempts) for one in (first, second)] == [(1, 1, 0), (2, 2, 0)]
    assert second.started_at == first.started_at
    execute(backend, "UPDATE export SET due_at = clock_timestamp() + interval '1 minute' WHERE id = %s", (export_id,))
    assert run_export.run(backend, export_id) is None
    assert read(backend, export_id).attempt == 2
    make_due(backend, export_id)
    assert run(backend, export_id).status == "done"


def test_a_file_is_delivered_in_the_attempt_that_has_written_it_and_whoever_did_so_is_fenced_off(backend: Backend):
    export_id, key = request(backend, by_ftp(21)), by_ftp(21).key()
    with backend.database.transaction() as conn:
        writing = export_repository.claim(conn, export_id, key)
        export_repository.mark_ready(conn, writing, **WRITTEN | {"delivery_attempts": 0})
        delivering = export_repository.claim(conn, export_id, key)
        assert (delivering.attempt, delivering.delivery_attempts) == (1, 1)
    for move in ("ready", "error", "postpone", "wait"):
        assert tried(backend, move, writing) is None
    with backend.database.transaction() as conn:
        again = export_repository.claim(conn, export_id, key)
        assert (again.attempt, again.delivery_attempts) == (2, 2)
    assert tried(backend, "done", delivering) is None
    assert tried(backend, "done", again).status == "done"


def test_a_claim_under_the_lock_of_a_key_the_export_had_before_is_none(backend: Backend):
    former = settings_for().key()
    export_id = request(backend, settings_for())
    execute(backend, "UPDATE export SET setting_key = %s WHERE id = %s", (former - 1, export_id))
    with backend.database.transaction() as conn:
        assert export_repository.claim(conn, export_id, former) is None
        assert export_repository.claim(conn, export_id, former - 1) is not None


def test_an_attempt_that_an_outage_ended_does_not_count(backend: Backend):
    export_id = request(backend, settings_for())
    with backend.database.transaction() as conn:
        claimed = export_repository.claim(conn, export_id, settings_for().key())
        counted = export_repository.postpone(conn, claimed, 60, "disk")
        uncounted = export_repository.postpone(conn, claimed, 60, "outage", counted=False)
    assert (counted.run_attempts, uncounted.run_attempts, uncounted.error) == (1, 0, "outage")
    assert 50 < seconds_until_due(backend, export_id) <= 60


@pytest.mark.parametrize("end", ["done", "error", "cancel"])
def test_the_end_wipes_the_password(backend: Backend, end: str):
    export_id = request(backend, by_ftp(21))
    assert PASSWORD.encode() not in bytes(row_of(backend, export_id)["ftp_secret"])
    export = read(backend, export_id)
    assert backend.secrets.decrypt(export.ftp_secret) == PASSWORD
    assert PASSWORD not in repr(row_of(backend, export_id)["settings"])
    execute(backend, "UPDATE export SET status = 'ready' WHERE id = %s", (export_id,))
    assert tried(backend, end, export) is not None
    assert row_of(backend, export_id)["ftp_secret"] is None


def test_the_table_holds_its_own_rules(backend: Backend):
    export_id = request(backend, settings_for())
    for wrong in ("status = 'done'", "status = 'error'", "due_at = NULL", "finished_at = now()", "status = 'paused'"):
        with other_session(backend) as conn, conn.cursor() as cursor, pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute(f"UPDATE export SET {wrong} WHERE id = {export_id}")


COPY_OF_ALL = (
    "INSERT INTO export (settings, setting_key, file_name, created_by)"
    " SELECT settings, setting_key, 'copy.csv', created_by FROM export"
)


def test_an_unfinished_export_that_appears_without_the_lock_refuses_the_same_setting(backend: Backend):
    request(backend, settings_for())
    execute(backend, "UPDATE export SET status = 'done', due_at = NULL, finished_at = now() - interval '1 day'")
    with other_session(backend, autocommit=False) as stranger, stranger.cursor() as cursor:
        cursor.execute(COPY_OF_ALL)
        commit = threading.Timer(0.3, stranger.commit)
        commit.start()
        with pytest.raises(ExportAlreadyRunning):
            request(backend, settings_for())
        commit.join()
    with pytest.raises(psycopg2.errors.UniqueViolation):
        execute(backend, COPY_OF_ALL)


def test_the_row_of_an_export_holds_what_was_asked_for(backend: Backend):
    settings = by_ftp(2121)
    export = read(backend, request(backend, settings))
    assert export.settings == settings
    assert export.setting_key == settings.key()
    assert (export.status, export.attempt, export.created_by) == ("scheduled", 0, "tester")
    assert export.file_name.startswith(f"changes_{export.id}_en-")


@pytest.mark.parametrize("export_id", [0, -1, 12345, 2**63, 10**30])
def test_an_id_that_no_export_has_is_unknown(backend: Backend, export_id: int):
    with pytest.raises(UnknownExport, match="Invalid export ID"):
        read(backend, export_id)
    with pytest.raises(UnknownExport):
        run_export.run(backend, export_id)


def test_the_newest_exports_come_first(backend: Backend):
    ids = [request(backend, settings_for(origin_ids=(origin_id,))) for origin_id in (1, 2, 3)]
    run(backend, ids[0])

    def listed(**wanted) -> list[str]:
        values = {"status": None, "before": None, "limit": 100} | wanted
        return [payload["id"] for payload in track_export.newest(backend, TESTER, **values)]

    assert listed() == [str(export_id) for export_id in reversed(ids)]
    assert listed(limit=1) == [str(ids[2])]
    assert listed(before=ids[1]) == [str(ids[0])]
    assert listed(status="done") == [str(ids[0])]
    assert listed(status="error") == []


def test_the_status_payload_is_that_of_the_contract(backend: Backend):
    before = datetime.now(UTC)
    export_id = request(backend, by_ftp(2121, "a/b"))
    payload = track_export.status(backend, export_id, TESTER)
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
    done = run(backend, request(backend, settings_for()))
    payload = track_export.status(backend, done.id, TESTER)
    assert (payload["file_name"], payload["status"], payload["attempts"]) == (done.file_name, "done", 1)
    assert (payload["effective_until"], payload["rows"], payload["bytes"]) == (END.isoformat(), 0, 0)
    with pytest.raises(UnknownExport):
        track_export.status(backend, 99, TESTER)


def test_the_status_tells_when_a_failed_attempt_is_followed_by_the_next(backend: Backend):
    export_id = request(backend, by_ftp(1))
    waiting = run(backend, export_id)
    payload = track_export.status(backend, export_id, TESTER)
    assert (payload["status"], payload["error"]) == ("ready", "FTP host: Connection refused")
    assert datetime.fromisoformat(payload["next_attempt"]) == waiting.due_at > datetime.now(UTC)


def test_a_request_that_is_not_stored_is_not_published(backend: Backend):
    request(backend, settings_for())
    with pytest.raises(ExportAlreadyRunning):
        request_export.store(backend, settings_for(notification_url="https://example.com/"), "other", "tester")
    assert len(execute(backend, "SELECT id FROM export")) == 1
