"""Notifications that fail: the export stays as it is, and another attempt follows."""

import socket

import pytest
from exporting import backend_with, execute, row_of
from notification_receiver import FAILURES, Answer, raw, receiver, status
from notifying import assert_tried_again, due, due_again, finished, notify, rest, seconds_until

from contactexport.backend import Backend
from contactexport.db import notification_repository
from contactexport.services import notify_export


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_receiver_changes_nothing_and_is_tried_again(backend: Backend, name: str):
    answer, reason = FAILURES[name]
    with receiver(answer) as there:
        export_id = finished(backend, there.url("/?key=geheim", host="anna:geheim@127.0.0.1"))
        before = rest(backend, export_id)
        after = notify(backend, export_id)
        assert len(there.received) == 1
    assert after["error"] == f"Notification: {reason}"
    assert_tried_again(backend, export_id, before)


def test_a_receiver_that_is_down_is_tried_again(backend: Backend):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        export_id = finished(backend, f"http://127.0.0.1:{unused.getsockname()[1]}/?key=geheim")
        before = rest(backend, export_id)
        assert notify(backend, export_id)["error"] == "Notification: Connection refused"
    assert_tried_again(backend, export_id, before)


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x" * 65536),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", forever=b"4\r\nabcd\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", forever=b"x" * 65536),
        raw(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x", pause=0.05),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"),
    ],
)
def test_an_endless_body_counts_as_its_status_and_is_cut_off(backend: Backend, answer: Answer):
    with receiver(answer) as there:
        assert notify(backend, finished(backend, there.url()))["notified_at"] is not None


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(backend: Backend, code: int):
    with receiver(status(code)) as there:
        after = notify(backend, finished(backend, there.url()))
    assert (after["due_at"], after["error"]) == (None, None)


def test_a_later_success_ends_the_attempts_under_the_same_key(backend: Backend):
    with receiver(status(500), status(200)) as there:
        export_id = finished(backend, there.url())
        assert notify(backend, export_id)["error"] == "Notification: the host answered 500"
        assert notify(backend, export_id)["attempts"] == 1, "it is not due yet"
        due_again(backend, export_id)
        after = notify(backend, export_id)
    assert (after["due_at"], after["attempts"], after["error"]) == (None, 2, None)
    first, second = there.received
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_a_crash_between_claim_and_sending_is_followed_by_another_attempt(backend: Backend):
    with receiver() as there:
        export_id = finished(backend, there.url())
        with backend.database.transaction() as conn:
            assert notification_repository.claim(conn, export_id, notify_export.RETRY_SECONDS) is not None
        assert there.received == []
        assert 50 < seconds_until(backend, export_id) <= 60
        due_again(backend, export_id)
        assert due(backend) == [export_id]
        assert notify(backend, export_id)["notified_at"] is not None
    assert [sent.headers["Idempotency-Key"] for sent in there.received] == [f"export-{export_id}-done-1"]


def test_the_attempts_are_a_minute_apart_and_then_back_off_to_an_hour(backend: Backend):
    export_id = finished(backend, "http://127.0.0.1:1/")
    for minutes in (1, 1, 1, 1, 1, 5, 15, 60, 60, 60):
        due_again(backend, export_id)
        notify(backend, export_id)
        assert minutes * 60 - 10 < seconds_until(backend, export_id) <= minutes * 60


@pytest.mark.parametrize("seconds, given_up", [(-30, False), (+30, True)])
def test_after_the_limit_nothing_is_sent_any_more_and_the_reason_stays(backend: Backend, seconds: int, given_up: bool):
    export_id = finished(backend, "http://127.0.0.1:1/")
    execute(
        backend,
        "UPDATE export SET finished_at = clock_timestamp() - make_interval(secs => %s) WHERE id = %s",
        (backend.settings.notification_limit + seconds, export_id),
    )
    after = notify(backend, export_id)
    assert (after["due_at"] is None) == given_up
    assert after["error"] == "Notification: Connection refused"
    assert row_of(backend, export_id)["status"] == "done"


def test_nothing_of_the_url_is_logged(backend: Backend, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="contactexport")
    with receiver(status(500), status(200)) as there:
        export_id = finished(backend, there.url("/geheim?key=geheim", host="anna:geheim@127.0.0.1"))
        notify(backend, export_id)
        due_again(backend, export_id)
        notify(backend, export_id)
    assert '"event": "notification failed"' in caplog.text
    assert '"event": "notification sent"' in caplog.text
    assert "geheim" not in caplog.text


def test_an_unreadable_secret_key_is_a_failure_as_any_other(backend: Backend):
    with receiver() as there:
        export_id = finished(backend, there.url())
        before = rest(backend, export_id)
        (backend.settings.data_dir / "secret_key").unlink(missing_ok=True)
        (backend.settings.data_dir / "secret_key").mkdir()
        backend = backend_with(backend)  # a process that has not read it yet
        assert "cannot be read or made" in notify(backend, export_id)["error"]
        assert there.received == []
    assert_tried_again(backend, export_id, before)
