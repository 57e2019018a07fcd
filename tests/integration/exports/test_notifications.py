"""Notifications of finished exports: what is sent, when, and by which process."""

import base64
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.delivery.webhook import signature
from contactexport.exports import cancel, retry, sweep
from contactexport.exports import notify as notify_export
from contactexport.queue.publisher import NOTIFY, RUN_EXPORT, SWEEP
from contactexport.worker import app as worker_application
from tests.support.exporting import TESTER, contact_changed, lose_messages, messages, request, row_of, run, settings_for
from tests.support.notification_receiver import receiver, status
from tests.support.notifying import due_again, finished, notify, rest, seconds_until, told

DOCS = Path(__file__).parents[3] / "docs" / "notifications.md"


def documented_check() -> Callable[[str, Any, bytes], bool]:
    """The example of docs/notifications.md."""
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[0], found)  # noqa: S102 - it is our own page
    return found["is_genuine"]


def test_finished_export_is_notified_once_with_its_status(context: Context, api):
    contact_changed(context, first_name="Zoë")
    with receiver() as there:
        export_id = finished(context, there.url("/exported?of=7"))
        before = rest(context, export_id)
        after = notify(context, export_id)
        assert notify(context, export_id) == after
    (request_,) = there.received
    assert request_.path == "/exported?of=7"
    assert json.loads(request_.body) == api.get(f"/api/v2/export/{export_id}").json["data"]
    assert json.loads(request_.body)["status"] == "done"
    headers = dict(request_.headers)
    assert headers.pop("X-Contactexport-Timestamp").isdigit()
    assert headers.pop("X-Contactexport-Signature").startswith("sha256=")
    assert headers.pop("X-Request-ID", None) == row_of(context, export_id)["request_id"]
    assert headers == {
        "Host": f"127.0.0.1:{there.port}", "User-Agent": "contactexport", "Connection": "close",
        "Accept-Encoding": "identity", "Content-Type": "application/json",
        "Content-Length": str(len(request_.body)), "Idempotency-Key": f"export-{export_id}-done-1",
    }  # fmt: skip
    assert (after["due_at"], after["attempts"], after["error"]) == (None, 1, None)
    assert after["notified_at"] is not None
    assert rest(context, export_id) == before


def test_documented_check_accepts_only_genuine_notifications(context: Context, runner):
    with receiver() as there:
        notify(context, finished(context, there.url()))
    (sent,) = there.received
    key = runner.invoke(args=["secrets", "notification-key"]).output.strip()
    is_genuine = documented_check()
    assert is_genuine(key, sent.headers, sent.body)
    assert not is_genuine(key, sent.headers, sent.body.replace(b"done", b"gone"))
    assert not is_genuine(key.upper(), sent.headers, sent.body)
    stamp = int(sent.headers["X-Contactexport-Timestamp"])
    sent.headers.replace_header("X-Contactexport-Timestamp", str(stamp + 1))
    assert not is_genuine(key, sent.headers, sent.body)


def test_documented_check_refuses_replayed_notification(context: Context):
    body, key, stamp = b"{}", notify_export.signing_key(context), 1_700_000_000
    headers = {"X-Contactexport-Timestamp": str(stamp), "X-Contactexport-Signature": signature(key, stamp, body)}
    assert not documented_check()(key, headers, body)


def test_export_without_url_notifies_nobody(context: Context):
    export_id = finished(context, None)
    assert told(context, export_id) == {"due_at": None, "attempts": 0, "notified_at": None, "error": None}
    assert notify(context, export_id)["attempts"] == 0


def test_unfinished_export_notifies_nobody(context: Context):
    with receiver() as there:
        export_id = request(context, settings_for(notification_url=there.url()))
        assert notify(context, export_id)["attempts"] == 0
        assert there.received == []


@pytest.mark.parametrize("export_id", [0, -1, 4711, 2**63 - 1])
def test_unknown_export_notifies_nobody(context: Context, export_id: int):
    notify_export.notify(context, export_id)


@pytest.mark.parametrize("end", ["error", "cancelled"])
def test_export_in_error_is_notified(context: Context, end: str):
    with receiver() as there:
        export_id = request(context, settings_for(notification_url=there.url(), contact_fields=(4711,)))
        if end == "cancelled":
            cancel.cancel(context, export_id, TESTER)
        else:
            run(context, export_id)
        assert notify(context, export_id)["notified_at"] is not None
    (sent,) = there.received
    payload = json.loads(sent.body)
    assert payload["status"] == "error"
    assert payload["error"] == ("cancelled" if end == "cancelled" else "Invalid contact field id: 4711")
    assert sent.headers["Idempotency-Key"] == f"export-{export_id}-error-1"


def test_two_workers_send_one_notification(context: Context):
    with receiver() as there, ThreadPoolExecutor(4) as workers:
        export_id = finished(context, there.url())
        list(workers.map(lambda _: notify(context, export_id), range(8)))
        assert len(there.received) == 1
    assert told(context, export_id)["attempts"] == 1


def test_retry_drops_the_notification_of_the_error(context: Context):
    with receiver() as there:
        export_id = request(context, settings_for(notification_url=there.url()))
        cancel.cancel(context, export_id, TESTER)
        retry.retry(context, export_id, None)
        assert notify(context, export_id) == {"due_at": None, "attempts": 0, "notified_at": None, "error": None}
        run(context, export_id)
        assert notify(context, export_id)["notified_at"] is not None
    assert [sent.headers["Idempotency-Key"] for sent in there.received] == [f"export-{export_id}-done-2"]


@pytest.mark.parametrize("code", [200, 500])
def test_notification_in_flight_does_not_overwrite_a_retry(context: Context, code: int):
    def retry_and_run(handler) -> None:
        retry.retry(context, export_id, None)
        run(context, export_id)
        with context.database.transaction() as conn:
            notify_export.claim(conn, export_id, notify_export.RETRY_SECONDS)
        status(code)(handler)

    with receiver(retry_and_run) as there:
        export_id = request(context, settings_for(notification_url=there.url()))
        cancel.cancel(context, export_id, TESTER)
        after = notify(context, export_id)
        assert len(there.received) == 1
    assert (after["attempts"], after["notified_at"], after["error"]) == (1, None, None)
    assert 50 < seconds_until(context, export_id) <= 60


def test_user_and_password_of_the_url_are_sent_as_http_basic(context: Context):
    with receiver() as there:
        notify(context, finished(context, there.url("/ü?ö=%20", host="anna:p%40ß@127.0.0.1")))
    (sent,) = there.received
    assert base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode() == "anna:p@ß"
    assert sent.path == "/%C3%BC?%C3%B6=%20"
    assert sent.headers["Host"] == f"127.0.0.1:{there.port}"


@pytest.fixture
def tasks(context: Context) -> Iterator[dict[str, Callable[..., None]]]:
    """The tasks of the worker, called in this process."""
    app = worker_application.worker_app(context)
    yield app.tasks
    app.close()


def published(context: Context, task: str) -> list[list[int]]:
    """The arguments of the waiting messages of a task."""
    found = [json.loads(file.read_text()) for file in messages(context)]
    bodies = [json.loads(base64.b64decode(one["body"])) for one in found if one["headers"]["task"] == task]
    return [body[0] for body in bodies]


def test_worker_that_finishes_export_publishes_its_notification(context: Context, tasks):
    with receiver() as there:
        export_id = request(context, settings_for(notification_url=there.url()))
        tasks[RUN_EXPORT]()
        assert published(context, NOTIFY) == [[export_id]]
        tasks[NOTIFY](export_id)
        assert len(there.received) == 1
    request(context, settings_for())
    tasks[RUN_EXPORT]()
    tasks[RUN_EXPORT]()
    assert published(context, NOTIFY) == [[export_id]]


def test_sweep_publishes_due_notifications(context: Context, tasks):
    now, later, without = (finished(context, url) for url in ("http://127.0.0.1:1/a", "http://127.0.0.1:1/b", None))
    notify(context, later)
    tasks[SWEEP]()
    assert published(context, NOTIFY) == [[now]]
    due_again(context, later)
    lose_messages(context)
    sweep.sweep(context)
    assert sorted(published(context, NOTIFY)) == [[now], [later]]
    assert without not in (now, later)


def test_stopped_worker_gives_message_back_while_the_database_is_down(
    context: Context, caplog: pytest.LogCaptureFixture
):
    gone = dataclasses.replace(context, database=type(context.database)(lambda: "postgresql://nobody@127.0.0.1:1/x"))
    gone.stopping.set()
    app = worker_application.worker_app(gone)
    app.tasks[NOTIFY](7)
    app.close()
    assert "waiting for Postgres: reason=The database does not answer" in caplog.text
    assert published(context, NOTIFY) == [[7]]


def test_table_refuses_due_notification_of_unfinished_export(context: Context):
    export_id = request(context, settings_for())
    with pytest.raises(psycopg2.errors.CheckViolation):
        due_again(context, export_id)
