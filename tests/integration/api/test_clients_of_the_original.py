"""What clients of the original send and call, for users with --compatible and for others."""

import gzip
import json
import logging
import zlib
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from contactexport.contacts import table
from contactexport.context import Context
from contactexport.users import manage
from contactexport.users.store import Rights
from tests.support.exporting import (
    REQUIRED_ONLY,
    add_contact,
    around_now,
    execute,
    export_file,
    row_of,
    run,
    settings_for,
)
from tests.support.wsse_header import wsse_header

GETCHANGES = "/api/v2/contact/getchanges"
EARLIER = "Invalid value for end_date: end_date is earlier than the start_date"


def client_of(app, context: Context, name: str, *, compatible: bool) -> FlaskClient:
    token = manage.add_user(context, name, with_wsse=False, with_token=True, rights=Rights(compatible=compatible)).token
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def strict(app, context: Context) -> FlaskClient:
    return client_of(app, context, "strict one", compatible=False)


@pytest.fixture
def compatible(app, context: Context) -> FlaskClient:
    return client_of(app, context, "shop", compatible=True)


LOOSENED = {
    "equal start and end": ({"time_range": ["2012-02-09", "2012-02-09"]}, EARLIER),
    "empty delimiter": ({"delimiter": ""}, "Invalid value for delimiter: "),
    "empty language": ({"language": ""}, "Invalid value for language: "),
    "empty notification_url": ({"notification_url": ""}, "Invalid value for notification_url: "),
}


@pytest.mark.parametrize("what", LOOSENED)
def test_compatible_user_may_send_it(compatible: FlaskClient, what: str):
    assert compatible.post(GETCHANGES, json=REQUIRED_ONLY | LOOSENED[what][0]).status_code == 200


@pytest.mark.parametrize("what", LOOSENED)
def test_other_users_are_refused_and_log_names_remedy(strict: FlaskClient, what: str, caplog):
    caplog.set_level(logging.INFO, "contactexport")
    changes, text = LOOSENED[what]
    assert strict.post(GETCHANGES, json=REQUIRED_ONLY | changes).json["replyText"] == text
    (line,) = [line for line in caplog.messages if "export refused" in line]
    assert line == (
        f"export refused: user='strict one' reason={text!r}; accepted after `flask users set 'strict one' --compatible`"
    )


@pytest.mark.parametrize(
    "changes", [{"delimiter": "|"}, {"time_range": ["2012-02-09", "2012-02-08"]}, {"origin": ""}, {"language": "xx"}]
)
def test_request_invalid_for_everybody_is_refused_without_remedy(strict, compatible, changes, caplog):
    caplog.set_level(logging.INFO, "contactexport")
    answers = [client.post(GETCHANGES, json=REQUIRED_ONLY | changes) for client in (strict, compatible)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert "--compatible" not in caplog.text


def test_empty_parameter_counts_as_missing(compatible: FlaskClient, context: Context):
    compatible.post(GETCHANGES, json=REQUIRED_ONLY | {"delimiter": "", "language": "", "notification_url": ""})
    stored = row_of(context, 1)["settings"]
    assert (stored["delimiter"], stored["language"], stored["notification_url"]) == (",", "en", None)
    assert compatible.post(GETCHANGES, json=REQUIRED_ONLY).json["replyCode"] == 4001


@pytest.mark.parametrize("at", [datetime(2012, 2, 9, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)])
def test_empty_window_gives_file_with_header_only(context: Context, at: datetime):
    add_contact(context)
    settings = settings_for(start=at, end=at, header=True)
    assert export_file(context, settings).decode() == "user_id,First Name,E-Mail,last update\n"


def test_getregistrations_of_compatible_user_needs_no_origin(strict, compatible, context: Context):
    body = {name: value for name, value in REQUIRED_ONLY.items() if not name.startswith("origin")}
    path = "/api/v2/contact/getregistrations"
    assert strict.post(path, json=body).json["replyText"] == "Missing parameter: origin"
    assert compatible.post(path, json=body).status_code == 200
    assert row_of(context, 1)["settings"]["origin"] == "all"
    assert compatible.post(GETCHANGES, json=body).json["replyText"] == "Missing parameter: origin"


# WSSE


def wsse_user(context: Context, compatible: bool) -> str:
    secret = manage.add_user(
        context, "anna", with_wsse=True, with_token=False, rights=Rights(compatible=compatible)
    ).secret
    assert secret
    return secret


def statuses(client: FlaskClient, header: str, times: int = 2) -> list[int]:
    return [client.get("/api/v2/field", headers={"X-WSSE": header}).status_code for _ in range(times)]


def test_repeated_nonce_is_accepted_from_compatible_users_only(client: FlaskClient, context: Context, caplog):
    caplog.set_level(logging.INFO, "contactexport")
    secret = wsse_user(context, compatible=False)
    header = wsse_header("anna", secret)
    assert statuses(client, header) == [200, 401]
    assert "nonce used before by 'anna'; accepted after `flask users set anna --compatible`" in caplog.text
    manage.set_user(context, "anna", None, {"compatible": True})
    assert statuses(client, header) == [200, 200]
    manage.set_user(context, "anna", None, {"compatible": False})
    assert statuses(client, header) == [401, 401]


def test_created_without_offset_is_accepted_from_compatible_users_only(client: FlaskClient, context: Context, caplog):
    caplog.set_level(logging.INFO, "contactexport")
    secret = wsse_user(context, compatible=False)
    local = datetime.now(context.settings.time_zone).replace(tzinfo=None).isoformat(timespec="seconds")
    assert statuses(client, wsse_header("anna", secret, created=local), 1) == [401]
    assert f"Created {local} of 'anna' has no offset; accepted after `flask users set anna --compatible`" in caplog.text
    manage.set_user(context, "anna", None, {"compatible": True})
    assert statuses(client, wsse_header("anna", secret, created=local)) == [200, 200]


def test_compatible_user_still_needs_secret_and_time(client: FlaskClient, context: Context, caplog):
    caplog.set_level(logging.INFO, "contactexport")
    secret = wsse_user(context, compatible=True)
    assert statuses(client, wsse_header("anna", "guessed"), 1) == [401]
    assert statuses(client, wsse_header("anna", secret, seconds_ago=400), 1) == [401]
    assert statuses(client, wsse_header("anna", secret, created="2012-02-09T00:00:00"), 1) == [401]
    assert "--compatible" not in caplog.text


def test_refusal_without_credentials_names_no_rules(client: FlaskClient, context: Context, caplog):
    caplog.set_level(logging.INFO, "contactexport")
    wsse_user(context, compatible=False)
    assert statuses(client, wsse_header("anna", "guessed", created="2012-02-09T00:00:00"), 1) == [401]
    assert "--compatible" not in caplog.text


# Bodies


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "text/plain; charset=utf-8"])
def test_json_is_accepted_with_content_types_of_clients(api: FlaskClient, content_type: str):
    body = b"\xef\xbb\xbf" + json.dumps(REQUIRED_ONLY).encode()
    assert api.post(GETCHANGES, data=body, content_type=content_type).status_code == 200


def test_gzip_body_is_unpacked_up_to_64_kib(api: FlaskClient):
    def post(body: bytes):
        return api.post(GETCHANGES, data=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    text = json.dumps(REQUIRED_ONLY).encode()
    assert post(text + b" " * (64 * 1024 - len(text))).status_code == 200
    for too_large in (text + b" " * (64 * 1024 - len(text) + 1), bytes(40_000_000)):
        answer = post(too_large)
        assert (answer.status_code, answer.json["replyCode"]) == (413, 1)
    assert post(b"{").json["replyText"] == "Invalid JSON in the request body"


# Other calls


def test_settings_are_those_of_team(app, context: Context):
    context = app.extensions["contactexport"]
    for number in range(3):
        add_contact(context, first_name=str(number))
    token = manage.add_user(context, "b", with_wsse=False, with_token=True, rights=Rights(team="shop")).token
    answer = app.test_client().get("/api/v2/settings", headers={"Authorization": f"Bearer {token}"})
    assert answer.json == {
        "replyCode": 0,
        "replyText": "OK",
        "data": {
            "id": zlib.crc32(b"shop"),
            "environment": "localhost",
            "timezone": "UTC",
            "name": "shop",
            "country": "",
            "totalContacts": "3",
            "password_history_queue_size": 0,
        },
    }


def test_large_number_of_contacts_is_estimate(context: Context, monkeypatch):
    monkeypatch.setattr(table, "MAX_COUNTED", 10)
    execute(context, "INSERT INTO contact (first_name) SELECT n::text FROM generate_series(1, 500) AS n")
    with context.database.transaction() as conn:
        assert table.count_roughly(conn) == 11  # never analyzed
        with conn.cursor() as cursor:
            cursor.execute("ANALYZE contact")
        assert table.count_roughly(conn) == 500


@pytest.mark.parametrize("sent", [{"query_string": {"id": "1"}}, {"json": {"id": 1}}, {"json": {"export_id": "1"}}])
def test_id_outside_path_is_refused(api: FlaskClient, sent: dict):
    answer = api.get("/api/v2/export", **sent)
    assert (answer.status_code, answer.json["replyCode"], answer.json["replyText"]) == (400, 10001, "Invalid export ID")


@pytest.mark.parametrize("sent", [{"json": {"status": "done"}}, {"data": b"x"}, {"data": b"\xff"}, {}])
def test_other_body_of_list_request_is_ignored(api: FlaskClient, sent: dict):
    assert api.get("/api/v2/export", **sent).json["data"] == []


# The same under v3


def test_every_route_also_answers_under_v3(api: FlaskClient, context: Context):
    add_contact(context)
    window = {name: value.isoformat() for name, value in around_now().items()}
    body = REQUIRED_ONLY | {"time_range": [window["start"], window["end"]]}
    assert api.post("/api/v3/contact/getchanges", json=body).json["data"] == {"id": 1}
    for path in ("export/1", "export", "field", "field/5/choice", "form", "source", "language", "export/7"):
        assert api.get(f"/api/v3/{path}").json == api.get(f"/api/v2/{path}").json


def test_wsse_is_refused_under_v3(client: FlaskClient, context: Context):
    header = wsse_header("anna", wsse_user(context, compatible=False))
    answer = client.get("/api/v3/field", headers={"X-WSSE": header})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert statuses(client, header, 1) == [200]


# Registrations


def test_registrations_are_accepted_and_run_like_changes(api: FlaskClient, context: Context):
    created, changed = add_contact(context, first_name="new"), add_contact(context, first_name="old")
    execute(context, "UPDATE contact_change SET kind = NULL WHERE contact_id = %s", (changed,))
    execute(context, "UPDATE contact SET first_name = 'older' WHERE id = %s", (changed,))
    body = REQUIRED_ONLY | {"time_range": [one.isoformat() for one in around_now().values()]}
    path = "/api/v2/contact/getregistrations"
    answers = [api.post(one, json=body) for one in (path, path, GETCHANGES)]
    assert [answer.json["replyCode"] for answer in answers] == [0, 4001, 0]
    for answer, kind, ids in ((answers[0], "registrations", [created]), (answers[2], "changes", [created, changed])):
        export_id = answer.json["data"]["id"]
        run(context, export_id)
        status = api.get(f"/api/v2/export/{export_id}").json["data"]
        assert (status["type"], status["status"], status["rows"]) == (kind, "done", len(ids))
        assert status["file_name"].startswith(f"{kind}_{export_id}_en-")
        header, *rows = api.get(f"/api/v2/export/{export_id}/data", buffered=True).text.splitlines()
        assert header == "user_id,First Name,E-Mail,last update"
        assert [int(row.split(",")[0]) for row in rows] == ids


@pytest.mark.parametrize("path", [GETCHANGES, "/api/v2/contact/getregistrations"])
def test_sftp_has_settings_of_its_own(api: FlaskClient, path: str):
    answer = api.post(path, json=REQUIRED_ONLY | {"distribution_method": "sftp"})
    assert (answer.status_code, answer.json["replyText"]) == (400, "Missing parameter: sftp_settings")
