"""Users in the console: roles, limits, tokens that are shown once, and sessions."""

import html
import json
import re

import pytest

from contactexport.users import manage
from contactexport.users.store import Rights
from tests.support.console_pages import Browser, signed_in

USERS = "/console/users"
NEW = {"name": "anna", "team": "shop", "role": "", "token": "1"}


def operator(app, context):
    browser = signed_in(app, context, operator=True)
    browser.get(USERS)
    return browser


def add(context, name: str, **rights) -> str:
    return manage.add_user(context, name, with_wsse=False, with_token=True, rights=Rights(**rights)).token


def user(context, name: str):
    return next(one for one in manage.list_users(context) if one.name == name)


def shown_token(page) -> str:
    return re.search(r'<code class="pick-all" tabindex="0">(cx_[^<]+)</code>', page.text)[1]


def test_user_is_added_with_a_token_that_is_shown_once_and_works(app, context):
    browser = operator(app, context)
    page = browser.post(USERS, **NEW, requests_per_minute="60", expires="30d")
    token = shown_token(page)
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    found = user(context, "anna")
    assert (found.team, found.role, found.requests_per_minute, found.has_wsse) == ("shop", None, 60, False)
    assert token not in browser.get(f"{USERS}/user?name=anna").text
    answer = app.test_client().get("/api/v2/settings", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": "a'b"}, "Invalid user name"),
        ({"team": 'x"'}, "Invalid team name"),
        ({"requests_per_minute": "many"}, "Invalid requests per minute &#39;many&#39;"),
        ({"exports_per_user": "0"}, "Invalid exports per user"),
        ({"exports_per_user": "0" * 11 + "9" * 11}, "Invalid exports per user"),
        ({"requests_per_minute": "2147483648"}, "Invalid requests per minute"),
        ({"expires": "tomorrow"}, "Invalid expiry &#39;tomorrow&#39;"),
        ({"name": "olga"}, "exists already"),
    ],
)
def test_what_is_wrong_is_said_above_the_form(app, context, wrong, text):
    page = operator(app, context).post(USERS, **NEW | wrong)
    assert page.status_code == 400
    assert text in page.text
    assert [one.name for one in manage.list_users(context)] == ["olga"]


def test_role_team_and_limits_change(app, context):
    add(context, "anna")
    browser = operator(app, context)
    changed = browser.post(
        f"{USERS}/rights", name="anna", role="viewer", team="shop", exports_per_user="3", replay_off="1"
    )
    assert changed.headers["Location"] == f"{USERS}/user?name=anna"
    found = user(context, "anna")
    assert (found.role, found.team, found.exports_per_user, found.replay) == ("viewer", "shop", 3, "off")
    browser.post(f"{USERS}/rights", name="anna", role="operator", team="shop")
    assert (user(context, "anna").role, user(context, "anna").exports_per_user) == ("operator", None)


def test_new_token_ends_the_old_one_and_its_sessions(app, context):
    old = add(context, "anna")
    other = Browser(app)
    other.sign_in("anna", old)
    page = operator(app, context).post(f"{USERS}/credentials", name="anna", token="1")
    assert Browser(app).sign_in("anna", shown_token(page)).status_code == 303
    assert other.get("/console/").status_code == 303
    assert Browser(app).sign_in("anna", old).status_code == 403


def test_operator_who_replaces_the_own_token_is_told_to_sign_in_with_it(app, context):
    page = operator(app, context).post(f"{USERS}/credentials", name="olga", token="1")
    assert "This was your own token" in page.text
    assert Browser(app).sign_in("olga", shown_token(page)).status_code == 303


def test_revoked_user_has_no_sessions(app, context):
    token = add(context, "anna")
    other = Browser(app)
    other.sign_in("anna", token)
    browser = operator(app, context)
    assert browser.post(f"{USERS}/revoke", name="anna").status_code == 303
    assert user(context, "anna").revoked_at is not None
    assert other.get("/console/").status_code == 303
    assert browser.post(f"{USERS}/revoke", name="nobody").status_code == 400


def test_one_session_ends_and_the_others_stay(app, context):
    token = add(context, "anna")
    browsers = [Browser(app), Browser(app)]
    for one in browsers:
        one.sign_in("anna", token)
    browsers[1].client.environ_base["HTTP_USER_AGENT"] = "the other"
    page = browsers[0].get(f"{USERS}/user?name=anna").text
    assert page.count("this one") == 1
    sessions = re.findall(r'name="session" value="([0-9a-f]{64})"', page)
    own = re.search(r"this one.*?value=\"([0-9a-f]{64})\"", page, re.DOTALL)[1]
    browsers[0].post(f"{USERS}/sessions", name="anna", session=next(one for one in sessions if one != own))
    assert [one.get("/console/").status_code for one in browsers] == [200, 303]
    browsers[0].post(f"{USERS}/sessions", name="anna")
    assert browsers[0].get("/console/").status_code == 303


def test_user_of_a_team_sees_itself_and_changes_nothing(app, context):
    add(context, "anna", team="shop")
    browser = signed_in(app, context, "tim", team="shop")
    page = browser.get(USERS).text
    assert ("tim" in page, "anna" in page, "Add a user" in page) == (True, False, False)
    assert browser.get(f"{USERS}/user?name=anna").status_code == 403
    for path in ("", "/rights", "/credentials", "/revoke"):
        answer = browser.post(USERS + path, **NEW | {"name": "tim", "role": "operator"})
        assert answer.status_code == 403
    assert browser.post(f"{USERS}/sessions", name="anna").status_code == 403
    assert user(context, "tim").role is None


def test_viewer_sees_all_users_and_changes_none(app, context):
    add(context, "anna")
    browser = signed_in(app, context, "vera", viewer=True)
    assert "anna" in browser.get(USERS).text
    assert "formaction" not in browser.get(f"{USERS}/user?name=anna").text
    for path in ("", "/rights", "/credentials", "/revoke"):
        assert browser.post(USERS + path, **NEW).status_code == 403
    assert browser.post(f"{USERS}/sessions", name="anna").status_code == 403


def test_name_of_a_user_is_text(app, context):
    manage.add_user(context, "<img src=x>/..", with_wsse=True, with_token=False)
    page = operator(app, context).get(USERS).text
    assert "<img src=x>" not in page
    link = re.search(r'href="([^"]*img[^"]*)"', page)[1]
    assert operator_page_is_found(app, context, link)


def operator_page_is_found(app, context, link: str) -> bool:
    browser = signed_in(app, context, "otto", operator=True)
    return browser.get(link.replace("&amp;", "&")).status_code == 200


def test_audit_log_names_who_has_changed_whom(app, context, caplog):
    caplog.set_level("INFO", "contactexport.audit")
    operator(app, context).post(USERS, **NEW)
    line = next(one.getMessage() for one in caplog.records if '"user added"' in one.getMessage())
    assert '"user": "olga"' in line
    assert '"address": "127.0.0.1"' in line
    assert "cx_" not in line


def told(caplog, event: str) -> dict:
    """The values of the last such line."""
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "contactexport.audit"]
    return [one for one in lines if one["event"] == event][-1]


def test_audit_log_tells_all_that_was_changed(app, context, caplog):
    manage.add_user(context, "anna", with_wsse=True, with_token=True)
    browser = operator(app, context)
    caplog.set_level("INFO", "contactexport.audit")
    rights = {"role": "viewer", "team": "shop", "replay_off": "1", "compatible": "1", "requests_per_minute": "7"}
    browser.post(f"{USERS}/rights", name="anna", expires="2099-01-31", exports_per_user="3", **rights)
    expected = {"changed": "anna", "role": "viewer", "team": "shop", "replay": "off", "compatible": True}
    expected |= {"requests_per_minute": 7, "exports_per_user": 3}
    line = told(caplog, "user changed")
    assert expected.items() <= line.items()
    assert line["token_expires"].startswith("2099-01-31") or line["token_expires"].startswith("2099-02-01")
    browser.post(f"{USERS}/credentials", name="anna")
    assert told(caplog, "credentials replaced")["kinds"] == ["token", "wsse"]
    browser.post(f"{USERS}/credentials", name="anna", wsse="1")
    assert told(caplog, "credentials replaced")["kinds"] == ["wsse"]


@pytest.mark.parametrize("fields", [{"session": "0" * 64}, {}])
def test_session_that_has_ended_before_is_not_said_to_end(app, context, caplog, fields):
    add(context, "anna")
    browser = operator(app, context)
    caplog.set_level("INFO", "contactexport.audit")
    assert browser.post(f"{USERS}/sessions", name="anna", **fields).status_code == 303
    assert "There was no such session any more." in browser.get(f"{USERS}/user?name=anna").text
    for event in ("session ended", "signed out everywhere"):
        assert event not in caplog.text


def test_users_are_paged_by_name(app, context, monkeypatch):
    monkeypatch.setattr("contactexport.console.users.USERS_PER_PAGE", 2)
    browser = operator(app, context)
    for name in ("d&e", "anna", "zoe", "m"):
        add(context, name)
    url, pages = USERS, []
    while url:
        text = browser.get(url).text
        pages.append([html.unescape(one) for one in re.findall(r'<td><a href="[^"]+">([^<]+)</a>', text)])
        following = re.search(r'href="([^"]+)" rel="next"', text)
        url = following and html.unescape(following[1])
    assert pages == [["anna", "d&e"], ["m", "olga"], ["zoe"]]
    assert browser.get(f"{USERS}/user?name=zoe").status_code == 200
