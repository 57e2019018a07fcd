"""Notifications of finished exports: what is sent, and what becomes of it when the receiver fails."""

import base64
import dataclasses
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from exporting import contact_changed, execute, messages, request, row_of, run, settings_for
from notification_receiver import Answer, make_certificate, raw, receiver, silence, status

from contactexport.allowed_hosts import parse_allowed_hosts
from contactexport.backend import Backend
from contactexport.db import notification_repository
from contactexport.delivery.notify import signature
from contactexport.export_queue import NOTIFY, RUN_EXPORT, SWEEP
from contactexport.network_guard import NetworkGuard
from contactexport.services import cancel_export, notify_export, retry_export, sweep_exports
from contactexport.worker import celery_app

DOCS = Path(__file__).parents[2] / "docs" / "notifications.md"
SHORT = 0.3  # seconds until a silent receiver is given up


def finished(backend: Backend, url: str | None) -> int:
    """An export that is done and whose notification is due."""
    export_id = request(backend, settings_for(notification_url=url))
    assert run(backend, export_id).status == "done"
    return export_id


def notify(backend: Backend, export_id: int) -> dict[str, Any]:
    """One attempt; returns what the row says about it afterwards."""
    notify_export.notify(backend, export_id, answer_seconds=SHORT)
    return told(backend, export_id)


def told(backend: Backend, export_id: int) -> dict[str, Any]:
    row = row_of(backend, export_id)
    return {name.removeprefix("notify_"): row[name] for name in row if name.startswith("notif")}


def rest(backend: Backend, export_id: int) -> dict[str, Any]:
    """What the export itself is."""
    return {name: value for name, value in row_of(backend, export_id).items() if not name.startswith("notif")}


def seconds_until(backend: Backend, export_id: int) -> float | None:
    return execute(
        backend,
        "SELECT extract(epoch FROM notify_due_at - clock_timestamp())::float AS s FROM export WHERE id = %s",
        (export_id,),
    )[0]["s"]


def due_again(backend: Backend, export_id: int) -> None:
    execute(backend, "UPDATE export SET notify_due_at = clock_timestamp() WHERE id = %s", (export_id,))


def with_resolver(backend: Backend, resolver: Callable[[str, int], list[str]], allowed: str = "127.0.0.1") -> Backend:
    return dataclasses.replace(backend, guard=NetworkGuard(parse_allowed_hosts(allowed), resolver))


def documented_check() -> Callable[[str, Any, bytes], bool]:
    """The example of docs/notifications.md."""
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[0], found)  # noqa: S102 - it is our own page
    return found["is_genuine"]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For the name receiver.test; trusted."""
    file = make_certificate(tmp_path / "receiver.pem", "receiver.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


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
        "Content-Length": str(len(request_.body)), "Idempotency-Key": f"export-{export_id}-done",
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
            cancel_export.cancel(backend, export_id)
        else:
            run(backend, export_id)
        assert notify(backend, export_id)["notified_at"] is not None
    (sent,) = there.received
    payload = json.loads(sent.body)
    assert payload["status"] == "error"
    assert payload["error"] == ("cancelled" if end == "cancelled" else "Invalid contact field id: 4711")
    assert sent.headers["Idempotency-Key"] == f"export-{export_id}-error"


FAILURES: dict[str, tuple[Answer, str]] = {
    "500": (status(500), "the host answered 500"),
    "404": (status(404), "the host answered 404"),
    "304": (status(304), "the host answered 304"),
    "199": (raw(b"HTTP/1.1 199 X\r\n\r\n"), "the host answered 199"),
    "silent": (silence, "no answer within 0.3 seconds"),
    "dripping status": (raw(b"HTTP/1.1 200 ", forever=b"O", pause=0.05), "no answer within 0.3 seconds"),
    "dripping headers": (raw(b"HTTP/1.1 200 OK\r\n", forever=b"A: b\r\n", pause=0.05), "no answer within 0.3 seconds"),
    "continuing": (raw(forever=b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01), "no answer within 0.3 seconds"),
    "endless headers": (raw(b"HTTP/1.1 200 OK\r\n", forever=b"A: b\r\n"), "the answer is not HTTP"),
    "endless line": (raw(b"HTTP/1.1 200 ", forever=b"O" * 65536), "the answer is not HTTP"),
    "another protocol": (raw(b"220 geheim FTP\r\n"), "the answer is not HTTP"),
    "closing": (raw(), "the connection was closed without an answer"),
}


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


def assert_tried_again(backend: Backend, export_id: int, before: dict[str, Any]) -> None:
    """The export is as it was, and the next attempt comes in a minute."""
    assert rest(backend, export_id) == before
    after = told(backend, export_id)
    assert (before["status"], after["attempts"], after["notified_at"]) == ("done", 1, None)
    assert 50 < seconds_until(backend, export_id) <= 60


def test_a_receiver_that_is_down_is_tried_again(backend: Backend):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        export_id = finished(backend, f"http://127.0.0.1:{unused.getsockname()[1]}/?key=geheim")
        before = rest(backend, export_id)
        assert notify(backend, export_id)["error"] == "Notification: Connection refused"
    assert_tried_again(backend, export_id, before)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(backend: Backend, code: int):
    with receiver() as elsewhere, receiver(status(code, Location=elsewhere.url())) as there:
        export_id = finished(backend, there.url())
        before = rest(backend, export_id)
        assert notify(backend, export_id)["error"] == f"Notification: the host answered {code}"
        assert (len(there.received), elsewhere.received) == (1, [])
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
    assert [sent.headers["Idempotency-Key"] for sent in there.received] == [f"export-{export_id}-done"]


def due(backend: Backend) -> list[int]:
    with backend.database.transaction() as conn:
        return notification_repository.due(conn)


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


def test_two_workers_send_one_notification(backend: Backend):
    with receiver() as there, ThreadPoolExecutor(4) as workers:
        export_id = finished(backend, there.url())
        list(workers.map(lambda _: notify(backend, export_id), range(8)))
        assert len(there.received) == 1
    assert told(backend, export_id)["attempts"] == 1


def test_a_retry_forgets_the_notification_of_the_error(backend: Backend):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url()))
        cancel_export.cancel(backend, export_id)
        retry_export.retry(backend, export_id, None)
        assert notify(backend, export_id) == {"due_at": None, "attempts": 0, "notified_at": None, "error": None}
        run(backend, export_id)
        assert notify(backend, export_id)["notified_at"] is not None
    assert [sent.headers["Idempotency-Key"] for sent in there.received] == [f"export-{export_id}-done"]


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
        cancel_export.cancel(backend, export_id)
        after = notify(backend, export_id)
        assert len(there.received) == 1
    assert (after["attempts"], after["notified_at"], after["error"]) == (1, None, None)
    assert 50 < seconds_until(backend, export_id) <= 60


def test_a_host_that_is_not_public_is_not_called(backend: Backend):
    closed = with_resolver(backend, lambda *_: ["127.0.0.1"], allowed="")
    with receiver() as there:
        for host in ("127.0.0.1", "inside.test", "localhost"):
            export_id = finished(backend, there.url(host=host))
            before = rest(backend, export_id)
            assert notify(closed, export_id)["error"] == f"Host {host} is not on the public internet"
            assert_tried_again(backend, export_id, before)
        assert there.received == []


def test_a_name_of_which_one_address_is_not_public_is_not_called(backend: Backend):
    closed = with_resolver(backend, lambda *_: ["93.184.215.14", "127.0.0.1"], allowed="")
    with receiver() as there:
        assert "not on the public internet" in notify(closed, finished(backend, there.url(host="mixed.test")))["error"]
        assert there.received == []


def test_a_name_without_an_address_is_tried_again(backend: Backend):
    def nothing(name: str, port: int) -> list[str]:
        raise socket.gaierror

    export_id = finished(backend, "http://gone.test/")
    before = rest(backend, export_id)
    assert notify(with_resolver(backend, nothing), export_id)["error"] == "Host gone.test has no address"
    assert_tried_again(backend, export_id, before)


def test_a_name_that_answers_differently_later_gains_nothing(backend: Backend):
    answers = iter(["127.0.0.1", "127.0.0.2"])
    rebinding = with_resolver(backend, lambda *_: [next(answers)])
    with receiver(status(500)) as there, receiver(address="127.0.0.2", port=there.port) as inside:
        export_id = finished(backend, there.url(host="rebinding.test"))
        assert notify(rebinding, export_id)["error"] == "Notification: the host answered 500"
        due_again(backend, export_id)
        assert notify(rebinding, export_id)["error"] == "Host rebinding.test is not on the public internet"
        assert (len(there.received), inside.received) == (1, [])
    assert there.received[0].headers["Host"] == f"rebinding.test:{there.port}"
    assert next(answers, None) is None, "one look-up for each attempt"


def test_tls_checks_the_certificate_against_the_name(backend: Backend, certificate: Path):
    named = with_resolver(backend, lambda *_: ["127.0.0.1"])
    with receiver(certificate=certificate) as there:
        for host, reason in (
            ("receiver.test", None),
            ("another.test", "Hostname mismatch, certificate is not valid for 'another.test'."),
            ("127.0.0.1", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ):
            after = notify(named, finished(backend, there.url(host=host, scheme="https")))
            assert after["error"] == (reason and f"Notification: the certificate is refused: {reason}")
    assert [sent.headers["Host"] for sent in there.received] == [f"receiver.test:{there.port}"]


def test_a_certificate_nobody_vouches_for_is_refused(backend: Backend, tmp_path: Path):
    named = with_resolver(backend, lambda *_: ["127.0.0.1"])
    with receiver(certificate=make_certificate(tmp_path / "own.pem", "receiver.test")) as there:
        export_id = finished(backend, there.url(host="receiver.test", scheme="https"))
        before = rest(backend, export_id)
        assert notify(named, export_id)["error"] == "Notification: the certificate is refused: self-signed certificate"
        assert there.received == []
    assert_tried_again(backend, export_id, before)


@pytest.mark.parametrize("name", ["silent", "dripping headers", "endless headers", "500"])
def test_failures_under_tls_are_the_same(backend: Backend, certificate: Path, name: str):
    named = with_resolver(backend, lambda *_: ["127.0.0.1"])
    answer, reason = FAILURES[name]
    with receiver(answer, certificate=certificate) as there:
        export_id = finished(backend, there.url(host="receiver.test", scheme="https"))
        before = rest(backend, export_id)
        assert notify(named, export_id)["error"] == f"Notification: {reason}"
    assert_tried_again(backend, export_id, before)


def test_tls_with_a_host_that_has_none_is_tried_again(backend: Backend):
    with receiver() as there:
        export_id = finished(backend, there.url(scheme="https"))
        before = rest(backend, export_id)
        assert notify(backend, export_id)["error"].startswith("Notification: ")
    assert_tried_again(backend, export_id, before)


def test_proxies_of_the_environment_are_not_asked(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    with receiver() as proxy, receiver() as there:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert notify(backend, finished(backend, there.url()))["notified_at"] is not None
        assert (len(there.received), proxy.received) == (1, [])


def test_user_and_password_of_the_url_go_into_their_header(backend: Backend):
    with receiver() as there:
        notify(backend, finished(backend, there.url("/ü?ö=%20", host="anna:p%40ß@127.0.0.1")))
    (sent,) = there.received
    assert base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode() == "anna:p@ß"
    assert sent.path == "/%C3%BC?%C3%B6=%20"
    assert sent.headers["Host"] == f"127.0.0.1:{there.port}"


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
        assert "cannot be read or made" in notify(backend, export_id)["error"]
        assert there.received == []
    assert_tried_again(backend, export_id, before)


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
        tasks[RUN_EXPORT](export_id)
        assert published(backend, NOTIFY) == [[export_id]]
        tasks[NOTIFY](export_id)
        assert len(there.received) == 1
    without = request(backend, settings_for())
    tasks[RUN_EXPORT](without)
    tasks[RUN_EXPORT](without)
    assert published(backend, NOTIFY) == [[export_id]]


def test_the_sweep_publishes_what_is_due(backend: Backend, tasks):
    now, later, without = (finished(backend, url) for url in ("http://127.0.0.1:1/a", "http://127.0.0.1:1/b", None))
    notify(backend, later)
    tasks[SWEEP]()
    assert published(backend, NOTIFY) == [[now]]
    due_again(backend, later)
    sweep_exports.sweep(backend)
    assert sorted(published(backend, NOTIFY)) == [[now], [now], [later]]
    assert without not in (now, later)


def test_a_database_that_is_away_is_left_to_the_sweep(backend: Backend, caplog: pytest.LogCaptureFixture):
    gone = dataclasses.replace(backend, database=type(backend.database)(lambda: "postgresql://nobody@127.0.0.1:1/x"))
    app = celery_app.worker_app(gone)
    app.tasks[NOTIFY](7)
    app.close()
    assert "no notification: id=7 reason=The database does not answer" in caplog.text


def test_the_table_holds_that_only_finished_exports_have_a_notification_due(backend: Backend):
    export_id = request(backend, settings_for())
    with pytest.raises(psycopg2.errors.CheckViolation):
        due_again(backend, export_id)
