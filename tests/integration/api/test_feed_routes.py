"""Feeds over the API: their settings, their teams, and the files that are pulled."""

import hashlib
import json

import pytest

from contactexport.api import feed_reply_schemas
from contactexport.context import Context
from contactexport.exports import files as export_files
from contactexport.users import manage as manage_users
from contactexport.users.store import Rights
from tests.support.exporting import PASSWORD, add_contact, execute, row_of
from tests.support.feeds import attempt, log_pruned_until

FEED = {
    "name": "nightly",
    "schedule": "0 2 * * *",
    "distribution_method": "local",
    "origin": "form",
    "origin_id": "123",
    "contact_fields": ["1", "3"],
    "removed": 1,
}
BY_FTP = {
    "distribution_method": "ftp",
    "ftp_settings": {"host": "127.0.0.1", "port": 2121, "username": "user", "password": PASSWORD},
}

NAMES = "at most 64 letters, digits, -, _ and . expected, a letter or digit first"


def add(api, **changes):
    return api.post("/api/v2/feed", json=FEED | changes)


def told(answer) -> tuple[int, int, str]:
    return answer.status_code, answer.json["replyCode"], answer.json["replyText"]


def pull(api, name: str = "nightly", **headers: str):
    """The whole answer of `next`, read to its end."""
    answer = api.get(f"/api/v2/feed/{name}/next", headers=headers)
    assert answer.get_data() is not None
    answer.close()
    return answer


def run(api, context: Context, name: str = "nightly") -> int:
    """Runs the feed, and returns the id of its export."""
    export_id = api.post(f"/api/v2/feed/{name}/run").json["data"]["id"]
    assert attempt(context, export_id).status == "done"
    return export_id


def client_of(app, context: Context, name: str, **rights):
    token = manage_users.add_user(context, name, with_wsse=False, with_token=True, rights=Rights(**rights)).token
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def test_feed_is_added_listed_shown_and_deleted(context: Context, api):
    added = add(api)
    assert told(added) == (200, 0, "OK")
    feed = added.json["data"]
    assert (feed["name"], feed["team"], feed["created_by"], feed["schedule"]) == (
        "nightly", "default", "tester", "0 2 * * *",
    )  # fmt: skip
    assert (feed["sequence"], feed["cursor"], feed["acknowledged"], feed["paused"]) == (0, None, 0, False)
    assert feed["next_run"].endswith("T02:00:00+00:00")
    fields = feed_reply_schemas.FeedStatus().fields
    assert set(feed) == {name for name, field in fields.items() if field.required}
    assert api.get("/api/v2/feed").json["data"] == [feed]
    assert api.get("/api/v2/feed/nightly").json["data"] == feed
    assert api.get("/api/v3/feed/nightly/").json["data"] == feed
    assert api.delete("/api/v2/feed/nightly").json["data"] == {"name": "nightly"}
    assert told(api.get("/api/v2/feed/nightly")) == (400, 10001, "Invalid value for name: nightly: no such feed")


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"name": None}, "Missing parameter: name"),
        ({"origin": None}, "Missing parameter: origin"),
        ({"contact_fields": None}, "Missing parameter: contact_fields"),
        ({"distribution_method": "ftp"}, "Missing parameter: ftp_settings"),
        ({"name": "a/b"}, f"Invalid value for name: a/b: {NAMES}"),
        ({"name": 7}, f"Invalid value for name: 7: {NAMES}"),
        ({"origin_id": 999}, "Invalid value for origin_id: 999"),
        ({"contact_fields": [27]}, "Invalid contact field id: 27"),
        ({"schedule": 5}, "Invalid value for schedule: 5"),
        ({"schedule": "0 0 30 2 *"}, "Invalid value for schedule: 0 0 30 2 *: there is no such day"),
        ({"from": "yesterday"}, "Invalid value for from: yesterday"),
        ({"from": "2099-01-01"}, "Invalid value for from: 2099-01-01T00:00:00+00:00: a time in the past expected"),
        ({"spreadsheet": 1}, "Invalid value for spreadsheet: 1: the files of a feed are for programs"),
        ({"notification_url": "ftp://there"}, "Invalid value for notification_url: ftp://there"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_feeds_are_refused(api, changes, text):
    body = {name: value for name, value in (FEED | changes).items() if value is not None}
    assert told(api.post("/api/v2/feed", json=body)) == (400, 10001, text)
    assert api.get("/api/v2/feed").json["data"] == []


def test_time_range_and_flags_that_a_feed_decides_itself_are_ignored(api):
    assert told(add(api, time_range=["x"], may_be_incomplete=1, may_end_early=0, unknown=1)) == (200, 0, "OK")


def test_name_is_unique_in_a_team(app, context: Context, api):
    add(api)
    assert told(add(api))[2] == "Invalid value for name: nightly: there is such a feed already"
    assert told(add(client_of(app, context, "ben", team="sales"))) == (200, 0, "OK")


def test_feed_starts_where_from_says(context: Context, api):
    assert add(api, **{"from": "2012-02-09"}).json["data"]["cursor"] == "2012-02-09T00:00:00+00:00"
    log_pruned_until(context, execute(context, "SELECT clock_timestamp() AS now")[0]["now"])
    assert "the log is complete from" in told(add(api, name="other", **{"from": "2012-02-09"}))[2]


def test_other_teams_do_not_know_a_feed(app, context: Context, api):
    add(api)
    stranger, operator = (
        client_of(app, context, "ben", team="sales"),
        client_of(app, context, "olga", team="it", operator=True),
    )
    for method, path in (
        ("get", ""), ("patch", ""), ("delete", ""), ("post", "/run"), ("get", "/next"), ("post", "/acknowledge"),
    ):  # fmt: skip
        answer = getattr(stranger, method)(f"/api/v2/feed/nightly{path}", json={"paused": 1, "sequence": 1})
        assert told(answer) == (400, 10001, "Invalid value for name: nightly: no such feed"), path
    assert stranger.get("/api/v2/feed").json["data"] == []
    assert stranger.get("/api/v2/feed?team=default").json["data"] == []
    assert operator.get("/api/v2/feed/nightly").json["data"]["team"] == "default"
    add(stranger)
    assert told(operator.get("/api/v2/feed/nightly")) == (
        400, 10001, "Invalid value for team: : nightly is a feed of the teams default, sales, name one",
    )  # fmt: skip
    assert operator.get("/api/v2/feed/nightly?team=sales").json["data"]["created_by"] == "ben"
    assert len(operator.get("/api/v2/feed").json["data"]) == 2
    assert operator.get("/api/v2/feed?team=sales").json["data"][0]["team"] == "sales"


def test_secrets_are_in_no_answer_and_in_no_row(context: Context, api):
    url = "https://anna:geheim@www.example.com/told?token=geheim"
    answers = [add(api, **BY_FTP, notification_url=url), api.get("/api/v2/feed"), api.get("/api/v2/feed/nightly")]
    stored = execute(context, "SELECT settings::text FROM feed")[0]["settings"]
    for text in (stored, *(answer.text for answer in answers)):
        assert PASSWORD not in text
        assert "geheim" not in text


def test_run_starts_one_at_a_time(context: Context, api):
    add(api)
    export_id = api.post("/api/v2/feed/nightly/run").json["data"]["id"]
    refused = api.post("/api/v2/feed/nightly/run")
    assert (refused.json["replyCode"], refused.headers["X-Export-Id"]) == (4001, str(export_id))
    assert api.get("/api/v2/feed/nightly").json["data"]["running"] == str(export_id)
    attempt(context, export_id)
    status = api.get(f"/api/v2/export/{export_id}").json["data"]
    assert (status["status"], status["feed"], status["sequence"]) == ("done", "nightly", 1)
    feed = api.get("/api/v2/feed/nightly").json["data"]
    assert (feed["sequence"], feed["cursor"], feed["running"]) == (1, status["effective_until"], None)
    assert feed["columns"][1] == [1, "First Name"]


def test_files_are_pulled_one_after_the_other(context: Context, api):
    add_contact(context, first_name="Anna")
    add(api)
    assert pull(api).status_code == 204
    first = run(api, context)
    add_contact(context, first_name="Ben")
    second = run(api, context)
    one = pull(api)
    assert (one.status_code, one.headers["X-Feed-Sequence"], one.headers["X-Export-Id"]) == (200, "1", str(first))
    with api.get(f"/api/v2/export/{first}/data") as downloaded:
        assert one.data == downloaded.data
    assert one.headers["ETag"].strip('"') == hashlib.sha256(one.data).hexdigest()
    manifest = api.get(one.headers["Link"].split(">")[0].removeprefix("<"))
    assert (manifest.json["feed"], manifest.json["sequence"]) == ("nightly", 1)
    again = pull(api)
    assert (again.data, again.headers["X-Feed-Sequence"]) == (one.data, "1")
    acknowledged = api.post("/api/v2/feed/nightly/acknowledge", json={"sequence": 1})
    assert acknowledged.json["data"]["acknowledged"] == 1
    two = pull(api)
    assert (two.headers["X-Feed-Sequence"], two.headers["X-Export-Id"]) == ("2", str(second))
    assert b"Ben" in two.data
    api.post("/api/v2/feed/nightly/acknowledge", json={"sequence": "2"})
    empty = pull(api)
    assert (empty.status_code, empty.data) == (204, b"")


def test_broken_download_goes_on_with_a_range(context: Context, api):
    for number in range(50):
        add_contact(context, first_name=f"Anna {number}")
    add(api)
    run(api, context)
    whole = pull(api)
    headers = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
    rest = pull(api, **headers)
    assert (rest.status_code, whole.data[:100] + rest.data) == (206, whole.data)
    assert rest.headers["X-Feed-Sequence"] == "1"
    assert pull(api, **{"If-None-Match": whole.headers["ETag"]}).status_code == 304
    beyond = pull(api, Range="bytes=999999-")
    assert (beyond.status_code, beyond.json["replyCode"]) == (416, 1)


@pytest.mark.parametrize(
    "body, text",
    [
        ({}, "Missing parameter: sequence"),
        ({"sequence": 0}, "Invalid value for sequence: 0"),
        ({"sequence": "x"}, "Invalid value for sequence: x"),
        ({"sequence": 2}, "Invalid value for sequence: 2: 1 comes first"),
        ({"sequence": 3}, "Invalid value for sequence: 3: the last file has 2"),
        ({"sequence": 10**18}, f"Invalid value for sequence: {10**18}: the last file has 2"),
        ({"sequence": 10**30}, f"Invalid value for sequence: {10**30}"),
    ],
    ids=str,
)
def test_only_the_oldest_file_can_be_acknowledged(context: Context, api, body, text):
    add(api)
    run(api, context)
    run(api, context)
    assert told(api.post("/api/v2/feed/nightly/acknowledge", json=body)) == (400, 10001, text)


def test_acknowledging_again_changes_nothing(context: Context, api):
    add(api)
    run(api, context)
    for _ in range(2):
        answer = api.post("/api/v2/feed/nightly/acknowledge", json={"sequence": 1})
        assert (answer.status_code, answer.json["data"]["acknowledged"]) == (200, 1)


def test_failed_run_is_not_pulled(context: Context, api):
    add(api)
    export_id = api.post("/api/v2/feed/nightly/run").json["data"]["id"]
    assert pull(api).status_code == 204
    api.delete(f"/api/v2/export/{export_id}")
    assert pull(api).status_code == 204
    assert run(api, context) != export_id
    assert pull(api).headers["X-Feed-Sequence"] == "1"


def test_retention_leaves_files_of_a_pulled_feed_until_they_are_acknowledged(context: Context, api):
    add(api)
    add(api, name="read-from-the-folder")
    ids = [run(api, context), run(api, context), run(api, context, "read-from-the-folder")]
    pull(api)
    execute(context, "UPDATE export SET finished_at = finished_at - interval '40 days'")
    assert export_files.delete_expired(context) == 1
    assert [row_of(context, one)["file_deleted_at"] is None for one in ids] == [True, True, False]
    api.post("/api/v2/feed/nightly/acknowledge", json={"sequence": 1})
    assert export_files.delete_expired(context) == 1
    assert pull(api).headers["X-Feed-Sequence"] == "2"


def test_file_that_is_gone_is_gone_for_who_pulls(context: Context, api):
    add(api)
    export_id = run(api, context)
    api.delete(f"/api/v2/export/{export_id}")
    assert told(pull(api)) == (410, 4003, "Exported data is not available.")


def test_files_of_a_feed_by_ftp_are_not_pulled(context: Context, api):
    add(api, **BY_FTP)
    text = '"distribution_method" of this export is not compatible.'
    assert told(pull(api)) == (404, 4004, text)
    assert told(api.post("/api/v2/feed/nightly/acknowledge", json={"sequence": 1})) == (404, 4004, text)


def test_patch_pauses_resumes_and_resets(context: Context, api):
    add(api)
    run(api, context)
    paused = api.patch("/api/v2/feed/nightly", json={"paused": 1}).json["data"]
    assert (paused["paused"], paused["pause_reason"], paused["next_run"]) == (True, "tester has paused it", None)
    assert told(api.post("/api/v2/feed/nightly/run"))[:2] == (400, 10001)
    resumed = api.patch("/api/v2/feed/nightly", json={"paused": "0"}).json["data"]
    assert (resumed["paused"], resumed["pause_reason"], resumed["cursor"] is None) == (False, None, False)
    assert api.patch("/api/v2/feed/nightly", json={"full": 1}).json["data"]["cursor"] is None
    moved = api.patch("/api/v2/feed/nightly", json={"from": "2012-02-09"}).json["data"]
    assert moved["cursor"] == "2012-02-09T00:00:00+00:00"


def test_patch_changes_only_what_is_sent(context: Context, api):
    before = add(api, **BY_FTP, notification_url="https://anna:geheim@www.example.com/told").json["data"]
    secrets = execute(context, "SELECT ftp_secret, notify_secret, settings FROM feed")[0]
    after = api.patch("/api/v2/feed/nightly", json={"schedule": "30 4 * * *"}).json["data"]
    assert {key for key in after if after[key] != before[key]} == {"schedule", "next_run"}
    assert execute(context, "SELECT ftp_secret, notify_secret, settings FROM feed")[0] == secrets
    assert api.patch("/api/v2/feed/nightly", json={"schedule": None}).json["data"]["next_run"] is None
    changed = api.patch("/api/v2/feed/nightly", json={"contact_fields": [3, 1], "delimiter": ";"}).json["data"]
    assert (changed["contact_fields"], changed["delimiter"], changed["removed"]) == ([3, 1], ";", 1)
    moved = api.patch("/api/v2/feed/nightly", json={"notification_url": None}).json["data"]
    assert moved["name"] == "nightly"
    row = execute(context, "SELECT notify_secret, settings FROM feed")[0]
    assert (row["notify_secret"], row["settings"]["notification_url"]) == (None, None)


@pytest.mark.parametrize(
    "body, text",
    [
        ({"paused": 2}, "Invalid value for paused: 2"),
        ({"full": "yes"}, "Invalid value for full: yes"),
        ({"full": 1, "from": "2012-02-09"}, "Invalid value for from: 2012-02-09: full: 1 excludes it"),
        ({"from": "soon"}, "Invalid value for from: soon"),
        ({"from": ["2012-02-09"]}, 'Invalid value for from: ["2012-02-09"]'),
        (
            {"schedule": "0 4 * * *", "from": "2099-01-01"},
            "Invalid value for from: 2099-01-01T00:00:00+00:00: a time in the past expected",
        ),
        ({"paused": False}, "Invalid value for paused: false"),
        ({"name": "other"}, "Invalid value for name: other: a feed keeps its name"),
        ({"contact_fields": []}, "Invalid number of fields"),
        ({"schedule": "never"}, None),
        ({"ftp_settings": {"host": "127.0.0.1"}}, "Missing parameter: ftp_settings.username"),
        ({"ftp_settings": {"host": "127.0.0.1", "username": "u"}}, "Missing parameter: ftp_settings.password"),
        ([], "Invalid JSON in the request body"),
    ],
    ids=json.dumps,
)
def test_wrong_changes_are_refused_and_change_nothing(api, body, text):
    before = add(api, **BY_FTP).json["data"]
    status, code, reply = told(api.patch("/api/v2/feed/nightly", json=body))
    assert (status, code) == (400, 10001)
    assert reply == text or (text is None and reply.startswith("Invalid value for schedule: never: "))
    assert api.get("/api/v2/feed/nightly").json["data"] == before


def test_password_stays_with_its_host(context: Context, api):
    """Who does not know it cannot have it sent elsewhere."""
    add(api, **BY_FTP)
    elsewhere = {name: value for name, value in BY_FTP["ftp_settings"].items() if name != "password"} | {"port": 99}
    assert told(api.patch("/api/v2/feed/nightly", json={"ftp_settings": elsewhere}))[2] == (
        "Missing parameter: ftp_settings.password"
    )
    whole = elsewhere | {"password": "of that host"}
    assert api.patch("/api/v2/feed/nightly", json={"ftp_settings": whole}).status_code == 200
    stored = execute(context, "SELECT ftp_secret FROM feed")[0]["ftp_secret"]
    assert context.secrets.decrypt(bytes(stored)) == "of that host"
    assert api.patch("/api/v2/feed/nightly", json={"distribution_method": "local"}).json["data"]["ftp_host"] is None
    assert execute(context, "SELECT ftp_secret FROM feed")[0]["ftp_secret"] is None
