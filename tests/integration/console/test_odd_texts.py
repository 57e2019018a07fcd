"""NUL, which Postgres and file systems cannot have, and bytes that are no text, are refused at both doors."""

import json

import pytest

from tests.support.console_forms import LOCAL
from tests.support.console_pages import signed_in
from tests.support.exporting import REQUIRED_ONLY, execute

FEED = {name: value for name, value in REQUIRED_ONLY.items() if name != "time_range"}


@pytest.mark.parametrize(
    "path",
    [
        "/console/feeds/%00",
        "/console/feeds/nightly?team=%00",
        "/console/exports?text=%00",
        "/console/exports?user=a%00b",
        "/console/users/user?name=%00",
        "/console/static/%00.css",
        "/console/exports?%00=1",
    ],
)
def test_page_refuses_nul_in_the_address(app, context, path):
    page = signed_in(app, context, operator=True).get(path)
    assert (page.status_code, "it has a NUL character" in page.text) == (400, True)
    assert "\0" not in page.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/console/sign-in", {"name": "a\0", "token": "x"}),
        ("/console/users", {"name": "a\0b", "team": "shop", "token": "1"}),
        ("/console/users/rights", {"name": "olga\0"}),
        ("/console/users/sessions", {"name": "olga", "session": "\0"}),
        ("/console/new-export", LOCAL | {"order": "1\0"}),
        ("/console/new-export/feed", LOCAL | {"name": "nightly", "team": "\0"}),
        ("/console/new-export/feed", LOCAL | {"name": "nightly", "ftp_settings.password": "geheim\0"}),
        ("/console/feeds/nightly/run", {"team": "\0"}),
    ],
)
def test_page_refuses_nul_in_a_form(app, context, path, fields):
    browser = signed_in(app, context, operator=True)
    browser.get("/console/new-export")
    page = browser.post(path, **fields)
    assert (page.status_code, "it has a NUL character" in page.text) == (400, True)
    assert "geheim" not in page.text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/feed/%00", "Invalid value for name: it has a NUL character"),
        ("/feed/%00/next", "Invalid value for name: it has a NUL character"),
        ("/feed?team=%00", "Invalid value for team: it has a NUL character"),
        ("/feed/nightly?team=a%00", "Invalid value for team: it has a NUL character"),
        ("/export?status=%00", "Invalid value for status: it has a NUL character"),
        ("/export/%00", "Invalid export ID"),
        ("/export/1%00/data", "Invalid export ID"),
    ],
)
def test_api_refuses_nul_in_the_address(api, path, text):
    answer = api.get(f"/api/v2{path}")
    assert (answer.status_code, answer.json["replyCode"], answer.json["replyText"]) == (400, 10001, text)


@pytest.mark.parametrize("path", ["/api/v2/export", "/api/v2/feed", "/console/exports", "/console/sign-in"])
def test_query_that_is_no_text_is_refused(api, path):
    answer = api.get(path, environ_overrides={"QUERY_STRING": "status=\x80"}, headers={"HX-Request": "true"})
    assert (answer.status_code, "Invalid query: UTF-8 text expected" in answer.text) == (400, True)


@pytest.mark.parametrize("name", sorted({*REQUIRED_ONLY, "sftp_settings", "encryption", "notification_url", "x"}))
def test_api_refuses_nul_in_a_body(context, api, name):
    for path, body in (("contact/getchanges", REQUIRED_ONLY), ("feed", FEED | {"name": "nightly"})):
        for value in ("\0", ["a\0"], {"host": "\0", "\0": 1}):
            sent = json.dumps(body | {name: value})
            answer = api.post(f"/api/v2/{path}", data=sent, content_type="application/json")
            if path == "contact/getchanges" or name != "time_range":
                assert answer.status_code == 400, (path, sent)
    assert execute(context, "SELECT id FROM export") == []


def test_oauth_refuses_nul_in_its_form(client):
    sent = {"grant_type": "client_credentials", "client_id": "cxc_\0", "client_secret": "\0"}
    assert client.post("/oauth2/token", data=sent).status_code == 401
