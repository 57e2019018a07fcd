"""Notifications of finished exports: what is sent, when, and by whom."""

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
from exporting import TESTER, contact_changed, lose_messages, messages, request, run, settings_for
from notification_receiver import receiver, status
from notifying import due_again, finished, notify, rest, seconds_until, told

from contactexport.backend import Backend
from contactexport.db import notification_repository
from contactexport.delivery.notify import signature
from contactexport.export_queue import NOTIFY, RUN_EXPORT, SWEEP
from contactexport.services import cancel_export, notify_export, retry_export, sweep_exports
from contactexport.worker import celery_app

DOCS = Path(__file__).parents[2] / "docs" / "notifications.md"


def documented_check() -> Callable[[str, Any, bytes], bool]:
    """The example of docs/notifications.md."""
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[0], found)  # noqa: S102 - it is our own page
    return found["is_genuine"]


def test_a_finished_export_is_told_once_with_its_status(backend: Backend, api):
    contact_changed(backend, first_name="Zoë")
    with receiver() as there:
        export_id = finished(backend, there.url("/exported?of=7"))
        before = rest(backend, export_id)
        after = notify(backend, export_id)
        assert notify(backend, export_id) == after
    (request_,) = there.received
    assert request_.path == "/exported?of=7"
    assert json.loads(request_.body) == api.get(f"/api/v2/export/{export_id}").json["data"]
    assert json.loads(request_.body)["status"] == "done"
    headers = dict(request_.headers)
    assert headers.pop("X-Contactexport-Timestamp").isdigit()
    assert headers.pop("X-Contactexport-Signature").startswith("sha256=")
    assert headers == {
        "Host": f"127.0.0.1:{there.port}", "User-Agent": "contactexport", "Connection": "close",
        "Accept-Encoding": "identity", "Content-Type": "application/json",
        "Content-Length": str(len(request_.body)), "Idempotency-Key": f"export-{export_id}-done-1",
    }  # fmt: skip
    assert (after["due_at"], after["attempts"], after["error"]) == (None, 1, None)
    assert after["notified_at"] is not None
    assert rest(backend, export_id) == before


def test_the_documented_check_accepts_what_is_sent_and_nothing_else(backend: Backend, runner):
    with receiver() as there:
        notify(backend, finished(backend, there.url()))
    (sent,) = there.received
    key = runner.invoke(args=["secrets", "notification-key"]).output.strip()
    is_genuine = documented_check()
    assert is_genuine(key, sent.headers, sent.body)
    assert not is_genuine(key, sent.headers, sent.body.replace(b"done", b"gone"))
    assert not is_genuine(key.upper(), sent.headers, sent.body)
    stamp = int(sent.headers["X-Contactexport-Timestamp"])
    sent.headers.replace_header("X-Contactexport-Timestamp", str(stamp + 1))
    assert not is_genuine(key, sent.headers, sent.body)


def test_a_replayed_notification_is_refused_by_the_documented_check(backend: Backend):
    body, key, stamp = b"{}", notify_export.signing_key(backend), 1_700_000_000
    headers = {"X-Contactexport-Timestamp": str(stamp), "X-Contactexport-Signature": signature(key, stamp, body)}
    assert not documented_check()(key, headers, body)


def test_an_export_without_a_url_tells_nobody(backend: Backend):
    export_id = finished(backend, None)
    assert told(backend, export_id) == {"due_at": None, "attempts": 0, "notified_at": None, "error": None}
    assert notify(backend, export_id)["attempts"] == 0


def test_an_unfinished_export_tells_nobody(backend: Backend):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url()))
        assert notify(backend, export_id)["attempts"] == 0
        assert there.received == []


@pytest.mark.parametrize("export_id", [0, -1, 4711, 2**63 - 1])
def test_an_unknown_export_tells_nobody(backend: Backend, export_id: int):
    notify_export.notify(backend, export_id)


@pytest.mark.parametrize("end", ["error", "cancelled"])
def test_the_end_in_error_is_told(backend: Backend, end: str):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url(), contact_fields=(4711,)))
        if end == "cancelled":
            cancel_export.cancel(backend, export_id, TESTER)
        else:
            run(backend, export_id)
        assert notify(backend, export_id)["notified_at"] is not None
    (sent,) = there.received
    payload = json.loads(sent.body)
    assert payload["status"] == "error"
    assert payload["error"] == ("cancelled" if end == "cancelled" else "Invalid contact field id: 4711")
    assert sent.headers["Idempotency-Key"] == f"export-{export_id}-error-1"


def test_two_workers_send_one_notification(backend: Backend):
    with receiver() as there, ThreadPoolExecutor(4) as workers:
        export_id = finished(backend, there.url())
        list(workers.map(lambda _: notify(backend, export_id), range(8)))
        assert len(there.received) == 1
    assert told(backend, export_id)["attempts"] == 1


def test_a_retry_forgets_the_notification_of_the_error(backend: Backend):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url()))
        cancel_export.cancel(backend, export_id, TESTER)
        retry_export.retry(backend, export_id, None)
        assert notify(backend, export_id) == {"due_at": None, "attempts": 0, "notified_at": None, "error": None}
        run(backend, export_id)
        assert notify(backend, export_id)["notified_at"] is not None
    assert [sent.headers["Idempotency-Key"] for sent in there.received] == [f"export-{export_id}-done-2"]


@pytest.mark.parametrize("code", [200, 500])
def test_a_retry_while_a_notification_is_under_way_is_not_overwritten(backend: Backend, code: int):
    def retry_and_run(handler) -> None:
        retry_export.retry(backend, export_id, None)
        run(backend, export_id)
        with backend.database.transaction() as conn:
            notification_repository.claim(conn, export_id, notify_export.RETRY_SECONDS)
        status(code)(handler)

    with receiver(retry_and_run) as there:
        export_id = request(backend, settings_for(notification_url=there.url()))
        cancel_export.cancel(backend, export_id, TESTER)
        after = notify(backend, export_id)
        assert len(there.received) == 1
    assert (after["attempts"], after["notified_at"], after["error"]) == (1, None, None)
    assert 50 < seconds_until(backend, export_id) <= 60


def test_user_and_password_of_the_url_go_into_their_header(backend: Backend):
    with receiver() as there:
        notify(backend, finished(backend, there.url("/ü?ö=%20", host="anna:p%40ß@127.0.0.1")))
    (sent,) = there.received
    assert base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode() == "anna:p@ß"
    assert sent.path == "/%C3%BC?%C3%B6=%20"
    assert sent.headers["Host"] == f"127.0.0.1:{there.port}"


@pytest.fixture
def tasks(backend: Backend) -> Iterator[dict[str, Callable[..., None]]]:
    """The worker's tasks, called in this process."""
    app = celery_app.worker_app(backend)
    yield app.tasks
    app.close()


def published(backend: Backend, task: str) -> list[list[int]]:
    """Arguments of the waiting messages of a task."""
    found = [json.loads(file.read_text()) for file in messages(backend)]
    bodies = [json.loads(base64.b64decode(one["body"])) for one in found if one["headers"]["task"] == task]
    return [body[0] for body in bodies]


def test_the_worker_that_finished_the_export_publishes_its_notification(backend: Backend, tasks):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url()))
        tasks[RUN_EXPORT]()
        assert published(backend, NOTIFY) == [[export_id]]
        tasks[NOTIFY](export_id)
        assert len(there.received) == 1
    request(backend, settings_for())
    tasks[RUN_EXPORT]()
    tasks[RUN_EXPORT]()
    assert published(backend, NOTIFY) == [[export_id]]


def test_the_sweep_publishes_what_is_due(backend: Backend, tasks):
    now, later, without = (finished(backend, url) for url in ("http://127.0.0.1:1/a", "http://127.0.0.1:1/b", None))
    notify(backend, later)
    tasks[SWEEP]()
    assert published(backend, NOTIFY) == [[now]]
    due_again(backend, later)
    lose_messages(backend)
    sweep_exports.sweep(backend)
    assert sorted(published(backend, NOTIFY)) == [[now], [later]]
    assert without not in (now, later)


def test_a_worker_that_is_stopped_while_the_database_is_away_gives_its_message_back(
    backend: Backend, caplog: pytest.LogCaptureFixture
):
    gone = dataclasses.replace(backend, database=type(backend.database)(lambda: "postgresql://nobody@127.0.0.1:1/x"))
    gone.stopping.set()
    app = celery_app.worker_app(gone)
    app.tasks[NOTIFY](7)
    app.close()
    assert "waiting for Postgres: reason=The database does not answer" in caplog.text
    assert published(backend, NOTIFY) == [[7]]


def test_the_table_holds_that_only_finished_exports_have_a_notification_due(backend: Backend):
    export_id = request(backend, settings_for())
    with pytest.raises(psycopg2.errors.CheckViolation):
        due_again(backend, export_id)
