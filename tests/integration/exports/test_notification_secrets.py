"""Credentials in a notification URL are encrypted while they are needed, then erased, and shown nowhere."""

import base64
import dataclasses
import json
import logging

import pytest

from contactexport.context import Context
from contactexport.db import migrate
from contactexport.errors import ExportAlreadyRunning, UsageError
from contactexport.exports import cancel, retry
from contactexport.secrets import encrypt_urls, rotate
from contactexport.secrets.box import SecretBox
from contactexport.secrets.hidden_url import hidden
from tests.support.empty_databases import old_database
from tests.support.exporting import REQUIRED_ONLY, TESTER, execute, request, row_of, run, settings_for
from tests.support.notification_receiver import receiver, status
from tests.support.notifying import due_again, finished, notify

PASSWORD, TOKEN = "geheim-pw", "tok-4711"
WITH_BOTH = f"http://anna:{PASSWORD}@127.0.0.1:1/hook?token={TOKEN}"
HIDDEN = "http://***@127.0.0.1:1/hook?***"


def stored(context: Context, export_id: int) -> str:
    return execute(context, "SELECT export::text AS line FROM export WHERE id = %s", (export_id,))[0]["line"]


def test_row_has_url_with_credentials_only_encrypted(context: Context):
    export_id = request(context, settings_for(notification_url=WITH_BOTH))
    row = row_of(context, export_id)
    assert row["settings"]["notification_url"] == HIDDEN
    assert context.secrets.decrypt(bytes(row["notify_secret"])) == WITH_BOTH
    assert PASSWORD not in stored(context, export_id)
    assert TOKEN not in stored(context, export_id)


def test_url_without_credentials_is_stored_as_it_is(context: Context):
    row = row_of(context, request(context, settings_for(notification_url="https://127.0.0.1/a/b")))
    assert (row["settings"]["notification_url"], row["notify_secret"]) == ("https://127.0.0.1/a/b", None)


def test_notification_url_is_no_part_of_the_setting(context: Context):
    request(context, settings_for(notification_url=WITH_BOTH))
    for url in (None, WITH_BOTH, "http://otto:x@127.0.0.1/"):
        with pytest.raises(ExportAlreadyRunning):
            request(context, settings_for(notification_url=url))
    assert [row["count"] for row in execute(context, "SELECT count(*) FROM export")] == [1]


def test_credentials_are_sent_and_then_erased(context: Context):
    with receiver() as there:
        url = there.url(f"/hook?token={TOKEN}", host=f"anna:{PASSWORD}@127.0.0.1")
        export_id = finished(context, url)
        assert row_of(context, export_id)["notify_secret"] is not None
        notify(context, export_id)
    (sent,) = there.received
    assert sent.path == f"/hook?token={TOKEN}"
    assert base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode() == f"anna:{PASSWORD}"
    assert row_of(context, export_id)["notify_secret"] is None


@pytest.mark.parametrize("given_up", [False, True])
def test_credentials_are_kept_after_a_failure_until_the_last_attempt(context: Context, caplog, given_up: bool):
    limited = context if not given_up else dataclasses.replace(
        context, settings=dataclasses.replace(context.settings, notification_limit=0)
    )  # fmt: skip
    with receiver(status(500)) as there, caplog.at_level(logging.DEBUG):
        export_id = finished(context, there.url(f"/?t={TOKEN}", host=f"anna:{PASSWORD}@127.0.0.1"))
        after = notify(limited, export_id)
    assert (row_of(context, export_id)["notify_secret"] is None) == given_up == (after["due_at"] is None)
    for text in (caplog.text, json.dumps(after, default=str), stored(context, export_id)):
        assert PASSWORD not in text
        assert TOKEN not in text


def test_cancelled_export_is_notified_and_then_loses_the_credentials(context: Context):
    with receiver() as there:
        export_id = request(context, settings_for(notification_url=there.url("/?a=1")))
        cancel.cancel(context, export_id, TESTER)
        assert row_of(context, export_id)["notify_secret"] is not None
        notify(context, export_id)
    assert row_of(context, export_id)["notify_secret"] is None


def test_answers_logs_commands_and_messages_do_not_show_credentials(context: Context, api, runner, caplog):
    with caplog.at_level(logging.DEBUG):
        body = REQUIRED_ONLY | {"notification_url": WITH_BOTH}
        export_id = api.post("/api/v2/contact/getchanges", json=body).json["data"]["id"]
        again = api.post("/api/v2/contact/getchanges", json=body)
        answers = [again, api.get(f"/api/v2/export/{export_id}"), api.get("/api/v2/export")]
        run(context, export_id)
        notify(context, export_id)
        answers += [api.get(f"/api/v2/export/{export_id}"), api.delete(f"/api/v2/export/{export_id}")]
        commands = [
            runner.invoke(args=["export", *command])
            for command in (["list"], ["list", "--json"], ["show", str(export_id)], ["show", str(export_id), "--json"])
        ]
    shown = [answer.text for answer in answers] + [ended.output + ended.stderr for ended in commands] + [caplog.text]
    shown += [path.read_text() for path in context.settings.data_dir.rglob("*.msg")]
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
def test_refusal_of_url_does_not_show_its_credentials(api, caplog, url: object):
    answer = api.post("/api/v2/contact/getchanges", json=REQUIRED_ONLY | {"notification_url": url})
    assert answer.status_code == 400
    assert answer.json["replyText"].startswith("Invalid value for notification_url: ")
    assert "***" in answer.json["replyText"]
    for text in (answer.text, caplog.text):
        assert PASSWORD not in text
        assert TOKEN not in text


def test_retry_before_the_notification_still_has_the_credentials(context: Context):
    with receiver() as there:
        export_id = request(context, settings_for(notification_url=there.url(f"/?t={TOKEN}")))
        cancel.cancel(context, export_id, TESTER)
        retry.retry(context, export_id, None)
        run(context, export_id)
        notify(context, export_id)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}"]


def wiped(context: Context, url: str) -> int:
    export_id = request(context, settings_for(notification_url=url, contact_fields=(4711,)))
    assert run(context, export_id).status == "error"
    assert notify(context, export_id)["notified_at"] is not None
    return export_id


def test_retry_after_erasure_needs_the_url_again(context: Context):
    with receiver() as there:
        export_id = wiped(context, there.url(f"/?t={TOKEN}"))
        with pytest.raises(
            UsageError, match=f"^Export {export_id} has a notification URL that was wiped: give it again"
        ):
            retry.retry(context, export_id, None)
        revived = retry.retry(context, export_id, None, notification_url=there.url("/?new=1"))
        assert revived.settings.notification_url == there.url("/?***")
        run(context, export_id)
        notify(context, export_id)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}", "/?new=1"]
    retry.retry(context, export_id, None, notification_url="")
    run(context, export_id)
    row = row_of(context, export_id)
    assert (row["settings"]["notification_url"], row["notify_secret"], row["notify_due_at"]) == (None, None, None)


@pytest.mark.parametrize("url", ["ftp://anna:geheim-pw@127.0.0.1/", "http://anna:geheim-pw@10.0.0.1/", "geheim-pw@x"])
def test_retry_refuses_url_that_a_request_may_not_have(context: Context, url: str):
    with receiver() as there:
        export_id = wiped(context, there.url("/?a"))
    with pytest.raises(UsageError, match=r"^Invalid value for the notification URL: ") as refused:
        retry.retry(context, export_id, None, notification_url=url)
    assert PASSWORD not in refused.value.text


def test_retry_command_asks_for_the_erased_url(context: Context, runner, monkeypatch: pytest.MonkeyPatch):
    with receiver() as there:
        export_id = wiped(context, there.url(f"/?t={TOKEN}"))
        plain = request(context, settings_for(notification_url=there.url("/plain"), contact_fields=(4711,)))
        run(context, plain)
        notify(context, plain)
        assert (
            runner.invoke(args=["export", "retry", str(plain)]).exit_code == 0
        )  # nothing was erased, so nothing is asked
        run(context, plain)
        asked = runner.invoke(args=["export", "retry", str(export_id)], input=f"{there.url(f'/?t={TOKEN}')}\n")
        assert asked.exit_code == 0, asked.output
        assert "Notification URL, with its credentials (empty: notify nobody)" in asked.stderr
        assert TOKEN not in asked.output
        run(context, export_id)
        notify(context, export_id)
        monkeypatch.setenv("NOTIFICATION_URL", "")
        assert runner.invoke(args=["export", "retry", str(export_id)]).exit_code == 0
    assert row_of(context, export_id)["settings"]["notification_url"] is None


def test_rotation_encrypts_url_with_the_first_key(context: Context):
    export_id = request(context, settings_for(notification_url=WITH_BOTH))
    old = context.secrets._fernet_keys[0].decode()
    newer = dataclasses.replace(context, secrets=SecretBox(f"new key,{old}", context.settings.data_dir))
    assert rotate.rotate_secrets(newer) == (1, [])
    token = bytes(row_of(context, export_id)["notify_secret"])
    assert SecretBox("new key", context.settings.data_dir).decrypt(token) == WITH_BOTH
    other = dataclasses.replace(context, secrets=SecretBox("another", context.settings.data_dir))
    assert rotate.rotate_secrets(other) == (0, [f"notification of export {export_id}"])


def test_lost_key_is_reported_and_the_notification_is_retried(context: Context):
    with receiver() as there:
        export_id = finished(context, there.url("/?a=1"))
        lost = dataclasses.replace(context, secrets=SecretBox("another", context.settings.data_dir))
        after = notify(lost, export_id)
        assert after["error"].startswith("A stored secret cannot be read: CONTACTEXPORT_SECRET_KEY was changed or lost")
        assert after["due_at"] is not None
        due_again(context, export_id)
        assert notify(context, export_id)["notified_at"] is not None


def as_before(context: Context, export_id: int, url: str = WITH_BOTH) -> None:
    """Changes the row to what an older version of the program has written."""
    execute(
        context,
        "UPDATE export SET notify_secret = NULL,"
        " settings = settings || jsonb_build_object('notification_url', %s::text) WHERE id = %s",
        (url, export_id),
    )


def test_upgrade_encrypts_urls_of_an_older_version(context: Context, runner):
    with receiver() as there:
        url = there.url(f"/?t={TOKEN}", host=f"anna:{PASSWORD}@127.0.0.1")
        due = request(context, settings_for(notification_url="http://127.0.0.1/"))
        as_before(context, due, url)
        upgraded = runner.invoke(args=["db", "upgrade"])
        assert "1 notification URLs with credentials are encrypted now" in upgraded.output
        assert PASSWORD not in stored(context, due)
        assert encrypt_urls.encrypt_urls(context) == 0
        run(context, due)
        notify(context, due)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}"]


def test_url_of_an_older_version_is_sent_and_rotation_encrypts_it(context: Context):
    with receiver() as there:
        export_id = finished(context, None)
        as_before(context, export_id, there.url(f"/?t={TOKEN}"))
        due_again(context, export_id)
        notify(context, export_id)
    assert [sent.path for sent in there.received] == [f"/?t={TOKEN}"]
    waiting = request(context, settings_for(origin_ids=(7,)))
    as_before(context, waiting)
    assert rotate.rotate_secrets(context) == (1, [])
    assert row_of(context, waiting)["settings"]["notification_url"] == HIDDEN


COPIES = """
INSERT INTO export OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(e, jsonb_build_object(
    'id', 1000 + n.n, 'status', 'done', 'finished_at', now(), 'notify_due_at', NULL, 'due_at', NULL, 'ftp_secret', NULL,
    'settings', e.settings || jsonb_build_object('notification_url', n.url)
))).*
FROM (SELECT e FROM export AS e ORDER BY id LIMIT 1) AS one (e), unnest(%s::text[]) WITH ORDINALITY AS n (url, n),
    LATERAL (SELECT (one.e).*) AS e
"""


def test_migration_masks_urls_that_are_no_longer_needed(context: Context):
    urls = [
        WITH_BOTH, "https://a:b@c@host/x", "http://host/?a=b@c", "http://host/a/b", "HTTP://host#x", "http://***@h?***",
        f"http://a:{PASSWORD}?x@host/", "http://host/a@b?c", "",
    ]  # fmt: skip
    with old_database(context, "notified_long_ago") as old:
        execute(old, COPIES, (urls,))
        migrate.upgrade(old.database)
        rows = execute(old, "SELECT settings ->> 'notification_url' AS url FROM export WHERE id > 1000 ORDER BY id")
    assert [row["url"] for row in rows] == [hidden(url) for url in urls]
