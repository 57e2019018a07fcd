"""What every page demands: not too many requests, no form of another site, and a line in the audit log."""

import json
import re

import pytest

from contactexport.console import guard
from tests.support.console_forms import LOCAL
from tests.support.console_pages import Browser, signed_in
from tests.support.exporting import request, settings_for
from tests.support.feeds import add_feed

POLL = {"HX-Request": "true"}
COOKIE, FORM_COOKIE = "contactexport_console", "contactexport_console_form"


def audit_lines(caplog, event: str) -> list[dict]:
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "contactexport.audit"]
    return [one for one in lines if one["event"] == event]


def statuses(browser, path: str, number: int, **options) -> list[int]:
    return [browser.get(path, **options).status_code for _ in range(number)]


def test_pages_count_as_requests_of_the_user_and_parts_do_not(app, context):
    browser = signed_in(app, context, requests_per_minute=3)  # which has opened a page
    assert set(statuses(browser, "/console/exports?part=rows", 10, headers=POLL)) == {200}
    assert set(statuses(browser, "/console/exports", 8)) == {200, 429}  # in two minutes at most
    refused = next(one for one in (browser.get("/console/exports") for _ in range(5)) if one.status_code == 429)
    assert "More than 3 requests in a minute. Try again in" in refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert browser.post("/console/sign-out").status_code == 303


def test_header_of_a_part_frees_no_other_page_from_the_limit(app, context):
    browser = signed_in(app, context, requests_per_minute=1)
    assert 429 in statuses(browser, "/console/users?part=x", 4, headers=POLL)


def test_parts_have_a_limit_of_their_own(app, context, monkeypatch):
    monkeypatch.setattr(guard, "POLLS_PER_MINUTE", 2)
    browser = signed_in(app, context)
    assert set(statuses(browser, "/console/?part=now", 6, headers=POLL)) == {200, 429}
    assert browser.get("/console/").status_code == 200


@pytest.mark.parametrize(("work", "name"), [("A preview", "olga"), ("A check", "olga")])
def test_one_preview_and_one_check_of_a_user_run_at_a_time(app, context, work, name):
    add_feed(context)
    browser, other = signed_in(app, context, name, operator=True), signed_in(app, context, "peter", operator=True)
    end = context_of(app).downloads.begin(f'"{work}" of {name}', 1)
    sent = {"A preview": ("/console/new-export", LOCAL), "A check": ("/console/feeds/nightly/verify", {})}
    path, fields = sent[work]
    refused = browser.post(path, **fields)
    assert (refused.status_code, f"{work} of yours is still running" in refused.text) == (429, True)
    assert other.post(path, **fields).status_code == 200
    end()
    assert [browser.post(path, **fields).status_code for _ in range(2)] == [200, 200]


def context_of(app):
    return app.extensions["contactexport"]


def test_only_parts_that_were_got_have_no_line(app, context, caplog):
    export_id = request(context, settings_for())
    browser = signed_in(app, context, operator=True)
    caplog.set_level("INFO", "contactexport.audit")
    caplog.clear()
    parts = (
        "/console/?part=now",
        "/console/exports?part=rows",
        f"/console/exports/{export_id}?part=live",
        "/console/system/doctor?part=1",
    )
    for path in parts:
        page = browser.get(path, headers=POLL)
        assert page.status_code == 200
        if seen := re.search(r'hx-get="([^"]+seen=[^"]+)"', page.text):
            assert browser.get(seen[1].replace("&amp;", "&"), headers=POLL).status_code == 204
    assert audit_lines(caplog, "request") == []
    others = ("/console/users?part=x", "/console/exports/999?part=live", "/console/nothing?part=x")
    for path in others:
        browser.get(path, headers=POLL)
    Browser(app).get("/console/exports?part=rows", headers=POLL)
    assert [(one["path"], one["http"]) for one in audit_lines(caplog, "request")] == [
        ("/console/users", 200),
        ("/console/exports/999", 404),
        ("/console/nothing", 404),
        ("/console/exports", 200),
    ]


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 303), ("none", 303), ("same-site", 400), ("cross-site", 400), ("x", 400)]
)
def test_form_of_another_site_is_refused_even_with_the_token(app, context, site, status):
    add_feed(context)
    browser = signed_in(app, context, operator=True)
    browser.client.environ_base["HTTP_SEC_FETCH_SITE"] = site
    assert browser.post("/console/feeds/nightly/pause").status_code == status
    stranger = Browser(app)
    stranger.get("/console/sign-in")
    stranger.client.environ_base["HTTP_SEC_FETCH_SITE"] = site
    assert stranger.post("/console/sign-in", name="olga", token="x").status_code == (403 if status == 303 else 400)


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_form_cookie_that_somebody_planted_brings_no_token(app, context, is_signed_in):
    add_feed(context)
    browser = signed_in(app, context, operator=True)
    attacker = signed_in(app, context, "mallory") if is_signed_in else Browser(app)
    attacker.get("/console/" if is_signed_in else "/console/sign-in")
    planted = attacker.client.get_cookie(FORM_COOKIE, path="/console").value
    browser.client.set_cookie(FORM_COOKIE, planted, path="/console")
    assert browser.post("/console/feeds/nightly/pause", csrf_token=attacker.csrf_token).status_code == 400
    browser.get("/console/feeds")
    assert browser.post("/console/feeds/nightly/pause").status_code == 303
