"""Failed notifications: the export does not change, and the notification is retried."""

import socket

import pytest

from contactexport.context import Context
from contactexport.exports import notify as notify_export
from tests.support.exporting import context_with, execute, row_of
from tests.support.notification_receiver import FAILURES, Answer, raw, receiver, status
from tests.support.notifying import assert_tried_again, due, due_again, finished, notify, rest, seconds_until


@pytest.mark.parametrize("name", FAILURES)
def test_failing_receiver_is_retried_and_changes_no_export(context: Context, name: str):
    answer, reason = FAILURES[name]
    with receiver(answer) as there:
        export_id = finished(context, there.url("/?key=geheim", host="anna:geheim@127.0.0.1"))
        before = rest(context, export_id)
        after = notify(context, export_id)
        assert len(there.received) == 1
    assert after["error"] == f"Notification: {reason}"
    assert_tried_again(context, export_id, before)


def test_receiver_that_is_down_is_retried(context: Context):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        export_id = finished(context, f"http://127.0.0.1:{unused.getsockname()[1]}/?key=geheim")
        before = rest(context, export_id)
        assert notify(context, export_id)["error"] == "Notification: Connection refused"
    assert_tried_again(context, export_id, before)


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
def test_endless_body_is_cut_off_and_its_status_counts(context: Context, answer: Answer):
    with receiver(answer) as there:
        assert notify(context, finished(context, there.url()))["notified_at"] is not None


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(context: Context, code: int):
    with receiver(status(code)) as there:
        after = notify(context, finished(context, there.url()))
    assert (after["due_at"], after["error"]) == (None, None)


def test_retry_uses_the_same_key_and_success_ends_the_attempts(context: Context):
    with receiver(status(500), status(200)) as there:
        export_id = finished(context, there.url())
        assert notify(context, export_id)["error"] == "Notification: the host answered 500"
        assert notify(context, export_id)["attempts"] == 1, "it is not due yet"
        due_again(context, export_id)
        after = notify(context, export_id)
    assert (after["due_at"], after["attempts"], after["error"]) == (None, 2, None)
    first, second = there.received
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_crash_between_claim_and_sending_is_retried(context: Context):
    with receiver() as there:
        export_id = finished(context, there.url())
        with context.database.transaction() as conn:
            assert notify_export.claim(conn, export_id, notify_export.RETRY_SECONDS) is not None
        assert there.received == []
        assert 50 < seconds_until(context, export_id) <= 60
        due_again(context, export_id)
        assert due(context) == [export_id]
        assert notify(context, export_id)["notified_at"] is not None
    assert [sent.headers["Idempotency-Key"] for sent in there.received] == [f"export-{export_id}-done-1"]


def test_retries_are_a_minute_apart_and_then_back_off_to_an_hour(context: Context):
    export_id = finished(context, "http://127.0.0.1:1/")
    for minutes in (1, 1, 1, 1, 1, 5, 15, 60, 60, 60):
        due_again(context, export_id)
        notify(context, export_id)
        assert minutes * 60 - 10 < seconds_until(context, export_id) <= minutes * 60


@pytest.mark.parametrize("seconds, given_up", [(-30, False), (+30, True)])
def test_notification_limit_ends_the_attempts_and_keeps_the_reason(context: Context, seconds: int, given_up: bool):
    export_id = finished(context, "http://127.0.0.1:1/")
    execute(
        context,
        "UPDATE export SET finished_at = clock_timestamp() - make_interval(secs => %s) WHERE id = %s",
        (context.settings.notification_limit + seconds, export_id),
    )
    after = notify(context, export_id)
    assert (after["due_at"] is None) == given_up
    assert after["error"] == "Notification: Connection refused"
    assert row_of(context, export_id)["status"] == "done"


def test_log_has_no_part_of_the_url(context: Context, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="contactexport")
    with receiver(status(500), status(200)) as there:
        export_id = finished(context, there.url("/geheim?key=geheim", host="anna:geheim@127.0.0.1"))
        notify(context, export_id)
        due_again(context, export_id)
        notify(context, export_id)
    assert '"event": "notification failed"' in caplog.text
    assert '"event": "notification sent"' in caplog.text
    assert "geheim" not in caplog.text


def test_unreadable_secret_key_is_retried_like_any_failure(context: Context):
    with receiver() as there:
        export_id = finished(context, there.url())
        before = rest(context, export_id)
        (context.settings.data_dir / "secret_key").unlink(missing_ok=True)
        (context.settings.data_dir / "secret_key").mkdir()
        context = context_with(context)  # a process that has not yet read the key
        assert "cannot be read or created" in notify(context, export_id)["error"]
        assert there.received == []
    assert_tried_again(context, export_id, before)
