"""Credentials in a notification URL: encrypted while they are needed, wiped then, and shown nowhere."""

import base64
import dataclasses
import json
import logging

import pytest
from empty_databases import old_database
from exporting import REQUIRED_ONLY, TESTER, execute, request, row_of, run, settings_for
from notification_receiver import receiver, status
from notifying import due_again, finished, notify

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.errors import ExportAlreadyRunning, UsageError
from contactexport.hidden_url import hidden
from contactexport.secret_box import SecretBox
from contactexport.services import cancel_export, encrypt_urls, retry_export, rotate_secrets

PASSWORD, TOKEN = "geheim-pw", "tok-4711"
WITH_BOTH = f"http://anna:{PASSWORD}@127.0.0.1:1/hook?token={TOKEN}"
HIDDEN = "http://***@127.0.0.1:1/hook?***"


def stored(backend: Backend, export_id: int) -> str:
    return execute(backend, "SELECT export::text AS line FROM export WHERE id = %s", (export_id,))[0]["line"]


def test_the_row_holds_it_encrypted_only(backend: Backend):
    export_id = request(backend, settings_for(notification_url=WITH_BOTH))
    row = row_of(backend, export_id)
    assert row["settings"]["notification_url"] == HIDDEN
    assert backend.secrets.decrypt(bytes(row["notify_secret"])) == WITH_BOTH
    assert PASSWORD not in stored(backend, export_id)
    assert TOKEN not in stored(backend, export_id)


def test_a_url_without_secrets_is_stored_as_it_is(backend: Backend):
    row = row_of(backend, request(backend, settings_for(notification_url="https://127.0.0.1/a/b")))
    assert (row["settings"]["notification_url"], row["notify_secret"]) == ("https://127.0.0.1/a/b", None)


def test_it_is_no_part_of_the_setting(backend: Backend):
    request(backend, settings_for(notification_url=WITH_BOTH))
    for url in (None, WITH_BOTH, "http://otto:x@127.0.0.1/"):
        with pytest.raises(ExportAlreadyRunning):
            request(backend, settings_for(notification_url=url))
    assert [row["count"] for row in execute(backend, "SELECT count(*) FROM export")] == [1]


def test_it_is_sent_and_then_wiped(backend: Backend):
    with receiver() as there:
        url = there.url(f"/hook?token={TOKEN}", host=f"anna:{PASSWORD}@127.0.0.1")
        export_id = finished(backend, url)
        assert row_of(backend, export_id)["notify_secret"] is not None
        notify(backend, export_id)
    (sent,) = there.received
    assert sent.path == f"/hook?token={TOKEN}"
    assert base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode() == f"anna:{PASSWORD}"
    assert row_of(backend, export_id)["notify_secret"] is None


@pytest.mark.parametrize("given_up", [False, True])
def test_after_a_failure_it_is_kept_as_long_as_it_is_tried_again(backend: Backend, caplog, given_up: bool):
    limited = backend if not given_up else dataclasses.replace(
        backend, settings=dataclasses.replace(backend.settings, notification_limit=0)
    )  # fmt: skip
    with receiver(status(500)) as there, caplog.at_level(logging.DEBUG):
        export_id = finished(backend, there.url(f"/?t={TOKEN}", host=f"anna:{PASSWORD}@127.0.0.1"))
        after = notify(limited, export_id)
    assert (row_of(backend, export_id)["notify_secret"] is None) == given_up == (after["due_at"] is None)
    for text in (caplog.text, json.dumps(after, default=str), stored(backend, export_id)):
        assert PASSWORD not in text
        assert TOKEN not in text


def test_a_cancelled_export_tells_it_and_then_wipes_it(backend: Backend):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url("/?a=1")))
        cancel_export.cancel(backend, export_id, TESTER)
        assert row_of(backend, export_id)["notify_secret"] is not None
        notify(backend, export_id)
    assert row_of(backend, export_id)["notify_secret"] is None


def test_answers_logs_commands_and_messages_do_not_show_it(backend: Backend, api, runner, caplog):
    with caplog.at_level(logging.DEBUG):
        body = REQUIRED_ONLY | {"notification_url": WITH_BOTH}
        export_id = api.post("/api/v2/contact/getchanges", json=body).json["data"]["id"]
        again = api.post("/api/v2/contact/getchanges", json=body)
        answers = [again, api.get(f"/api/v2/export/{export_id}"), api.get("/api/v2/export")]
        run(backend, export_id)
        notify(backend, export_id)
        answers += [api.get(f"/api/v2/export/{export_id}"), api.delete(f"/api/v2/export/{export_id}")]
        commands = [
            runner.invoke(args=["export", *command])
            for command in (["list"], ["list", "--json"], ["show", str(export_id)], ["show", str(export_id), "--json"])
        ]
    shown = [answer.text for answer in answers] + [ended.output + ended.stderr for ended in commands] + [caplog.text]
    shown += [path.read_text() for path in backend.settings.data_dir.rglob("*.msg")]
    for text in shown:
        assert PASSWORD not in text
        assert TOKEN not in text


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://anna:{PASSWORD}@127.0.0.1/hook?token={TOKEN}",
        f"http://anna:{PASSWORD}@10.0.0.1/hook?token={TOKEN}",
        f"http://anna:{PASSWORD}@127.0.0.1:port/#{TOKEN}",
        f"http://anna:x@y@{PASSWORD}@[::1/?{TOKEN}",
        f"anna:{PASSWORD}@127.0.0.1?{TOKEN}",
        f"http://anna:{PASSWORD}",
        f"http://anna:{PASSWORD}/?{TOKEN}",
        f"http://anna:{PASSWORD}\n@127.0.0.1/",
        f"http://anna:{PASSWORD} @127.0.0.1/?{TOKEN}",
        {"url": f"http://anna:{PASSWORD}@127.0.0.1/"},
        [f"http://anna:{PASSWORD}@127.0.0.1/?{TOKEN}"],
    ],
)
def test_a_url_that_is_refused_is_not_shown_whole(api, caplog, url: object):
    answer = api.post("/api/v2/contact/getchanges", json=REQUIRED_ONLY | {"notification_url": url})
    assert answer.status_code == 400
    assert answer.json["replyText"].startswith("Invalid value for notification_url: ")
    assert "***" in answer.json["replyText"]
    for text in (answer.text, caplog.text):
        assert PASSWORD not in text
        assert TOKEN not in text


def test_a_retry_before_it_was_told_still_has_it(backend: Backend):
    with receiver() as there:
        export_id = request(backend, settings_for(notification_url=there.url(f"/?t={TOKEN}")))
        cancel_export.cancel(backend, export_id, TESTER)
        retry_export.retry(backend, export_id, None)
        run(backend, export_id)
        notify(backend, export_id)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}"]


def wiped(backend: Backend, url: str) -> int:
    export_id = request(backend, settings_for(notification_url=url, contact_fields=(4711,)))
    assert run(backend, export_id).status == "error"
    assert notify(backend, export_id)["notified_at"] is not None
    return export_id


def test_a_retry_after_it_was_wiped_needs_it_again(backend: Backend):
    with receiver() as there:
        export_id = wiped(backend, there.url(f"/?t={TOKEN}"))
        with pytest.raises(
            UsageError, match=f"^Export {export_id} has a notification URL that was wiped: give it again"
        ):
            retry_export.retry(backend, export_id, None)
        revived = retry_export.retry(backend, export_id, None, notification_url=there.url("/?new=1"))
        assert revived.settings.notification_url == there.url("/?***")
        run(backend, export_id)
        notify(backend, export_id)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}", "/?new=1"]
    retry_export.retry(backend, export_id, None, notification_url="")
    run(backend, export_id)
    row = row_of(backend, export_id)
    assert (row["settings"]["notification_url"], row["notify_secret"], row["notify_due_at"]) == (None, None, None)


@pytest.mark.parametrize("url", ["ftp://anna:geheim-pw@127.0.0.1/", "http://anna:geheim-pw@10.0.0.1/", "geheim-pw@x"])
def test_a_retry_takes_no_url_that_a_request_may_not_name(backend: Backend, url: str):
    with receiver() as there:
        export_id = wiped(backend, there.url("/?a"))
    with pytest.raises(UsageError, match=r"^Invalid value for the notification URL: ") as refused:
        retry_export.retry(backend, export_id, None, notification_url=url)
    assert PASSWORD not in refused.value.text


def test_the_command_asks_for_it(backend: Backend, runner, monkeypatch: pytest.MonkeyPatch):
    with receiver() as there:
        export_id = wiped(backend, there.url(f"/?t={TOKEN}"))
        plain = request(backend, settings_for(notification_url=there.url("/plain"), contact_fields=(4711,)))
        run(backend, plain)
        notify(backend, plain)
        assert runner.invoke(args=["export", "retry", str(plain)]).exit_code == 0  # nothing was wiped, nothing asked
        run(backend, plain)
        asked = runner.invoke(args=["export", "retry", str(export_id)], input=f"{there.url(f'/?t={TOKEN}')}\n")
        assert asked.exit_code == 0, asked.output
        assert "Notification URL, with its credentials (empty: notify nobody)" in asked.stderr
        assert TOKEN not in asked.output
        run(backend, export_id)
        notify(backend, export_id)
        monkeypatch.setenv("NOTIFICATION_URL", "")
        assert runner.invoke(args=["export", "retry", str(export_id)]).exit_code == 0
    assert row_of(backend, export_id)["settings"]["notification_url"] is None


def test_rotation_puts_it_under_the_first_key(backend: Backend):
    export_id = request(backend, settings_for(notification_url=WITH_BOTH))
    old = backend.secrets._fernet_keys[0].decode()
    newer = dataclasses.replace(backend, secrets=SecretBox(f"new key,{old}", backend.settings.data_dir))
    assert rotate_secrets.rotate_secrets(newer) == (1, [])
    token = bytes(row_of(backend, export_id)["notify_secret"])
    assert SecretBox("new key", backend.settings.data_dir).decrypt(token) == WITH_BOTH
    other = dataclasses.replace(backend, secrets=SecretBox("another", backend.settings.data_dir))
    assert rotate_secrets.rotate_secrets(other) == (0, [f"notification of export {export_id}"])


def test_a_lost_key_is_told_and_the_notification_is_tried_again(backend: Backend):
    with receiver() as there:
        export_id = finished(backend, there.url("/?a=1"))
        lost = dataclasses.replace(backend, secrets=SecretBox("another", backend.settings.data_dir))
        after = notify(lost, export_id)
        assert after["error"].startswith("A stored secret cannot be read: CONTACTEXPORT_SECRET_KEY was changed or lost")
        assert after["due_at"] is not None
        due_again(backend, export_id)
        assert notify(backend, export_id)["notified_at"] is not None


def as_before(backend: Backend, export_id: int, url: str = WITH_BOTH) -> None:
    """The row as an older version of the program has written it."""
    execute(
        backend,
        "UPDATE export SET notify_secret = NULL,"
        " settings = settings || jsonb_build_object('notification_url', %s::text) WHERE id = %s",
        (url, export_id),
    )


def test_what_an_older_version_has_stored_is_encrypted_by_the_upgrade(backend: Backend, runner):
    with receiver() as there:
        url = there.url(f"/?t={TOKEN}", host=f"anna:{PASSWORD}@127.0.0.1")
        due = request(backend, settings_for(notification_url="http://127.0.0.1/"))
        as_before(backend, due, url)
        upgraded = runner.invoke(args=["db", "upgrade"])
        assert "1 notification URLs with credentials are encrypted now" in upgraded.output
        assert PASSWORD not in stored(backend, due)
        assert encrypt_urls.encrypt_urls(backend) == 0
        run(backend, due)
        notify(backend, due)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}"]


def test_what_an_older_version_has_stored_is_sent_all_the_same_and_encrypted_by_rotation(backend: Backend):
    with receiver() as there:
        export_id = finished(backend, None)
        as_before(backend, export_id, there.url(f"/?t={TOKEN}"))
        due_again(backend, export_id)
        notify(backend, export_id)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}"]
    waiting = request(backend, settings_for(origin_ids=(7,)))
    as_before(backend, waiting)
    assert rotate_secrets.rotate_secrets(backend) == (1, [])
    assert row_of(backend, waiting)["settings"]["notification_url"] == HIDDEN


COPIES = """
INSERT INTO export OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(e, jsonb_build_object(
    'id', 1000 + n.n, 'status', 'done', 'finished_at', now(), 'notify_due_at', NULL, 'due_at', NULL, 'ftp_secret', NULL,
    'settings', e.settings || jsonb_build_object('notification_url', n.url)
))).*
FROM (SELECT e FROM export AS e ORDER BY id LIMIT 1) AS one (e), unnest(%s::text[]) WITH ORDINALITY AS n (url, n),
    LATERAL (SELECT (one.e).*) AS e
"""


def test_the_migration_hides_what_nobody_needs_any_more(backend: Backend):
    urls = [
        WITH_BOTH, "https://a:b@c@host/x", "http://host/?a=b@c", "http://host/a/b", "HTTP://host#x", "http://***@h?***",
        f"http://a:{PASSWORD}?x@host/", "http://host/a@b?c", "",
    ]  # fmt: skip
    with old_database(backend, "notified_long_ago") as old:
        execute(old, COPIES, (urls,))
        migrate.upgrade(old.database)
        rows = execute(old, "SELECT settings ->> 'notification_url' AS url FROM export WHERE id > 1000 ORDER BY id")
    assert [row["url"] for row in rows] == [hidden(url) for url in urls]
