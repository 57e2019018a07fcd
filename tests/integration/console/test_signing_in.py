"""Signing in to the console, sessions, and where they end."""

import hashlib

import pytest

import contactexport
from contactexport.console import session
from contactexport.users import manage
from contactexport.users import store as user_store
from contactexport.users.store import Rights
from tests.support.console_pages import Browser, signed_in
from tests.support.exporting import execute

PAGES = ("/console/", "/console/exports", "/console/new-export", "/console/feeds", "/console/users", "/console/system")


def add_user(context, name="olga", **rights):
    return manage.add_user(context, name, with_wsse=False, with_token=True, rights=Rights(**rights)).token


@pytest.mark.parametrize("path", PAGES)
def test_operator_opens_every_page(app, context, path):
    browser = signed_in(app, context, operator=True)
    answer = browser.get(path)
    assert answer.status_code == 200
    assert 'aria-current="page"' in answer.text


def test_stranger_is_sent_to_the_sign_in_and_back(app, context):
    token = add_user(context)
    browser = Browser(app)
    answer = browser.get("/console/exports?status=error")
    assert answer.headers["Location"] == "/console/sign-in?next=%2Fconsole%2Fexports%3Fstatus%3Derror"
    browser.get(answer.headers["Location"])
    answer = browser.post("/console/sign-in", name="olga", token=token, next="/console/exports?status=error")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/exports?status=error")


@pytest.mark.parametrize("page", ["//evil.example", "https://evil.example", "/console/\\evil", "/console//evil", "/x"])
def test_sign_in_leads_to_no_page_of_others(app, context, page):
    token = add_user(context)
    browser = Browser(app)
    browser.get("/console/sign-in")
    answer = browser.post("/console/sign-in", name="olga", token=token, next=page)
    assert answer.headers["Location"] == "/console/"


def test_cookie_is_hidden_from_scripts_and_other_sites(app, context):
    token = add_user(context)
    answer = Browser(app).sign_in("olga", token)
    cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith("contactexport_console="))
    assert {"HttpOnly", "SameSite=Strict", "Path=/console"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_cookies_are_secure_over_https(app, context):
    token = add_user(context)
    browser = Browser(app, "https://localhost")
    form_cookie = browser.get("/console/sign-in").headers["Set-Cookie"]
    answer = browser.sign_in("olga", token)
    assert answer.status_code == 303
    cookies = [form_cookie, *(one for one in answer.headers.getlist("Set-Cookie") if "Max-Age=604800" in one)]
    assert [("; Secure" in one, "SameSite=Strict" in one) for one in cookies] == [(True, True)] * 2


@pytest.mark.parametrize(("name", "wrong"), [("olga", True), ("nobody", True), ("nobody", False)])
def test_wrong_name_or_token_is_refused_alike(app, context, name, wrong):
    token = add_user(context)
    answer = Browser(app).sign_in(name, "cx_wrong" if wrong else token)
    assert answer.status_code == 403
    assert "No active user has this name and this token." in answer.text
    assert token not in answer.text


def test_only_the_button_of_a_page_acts(app):
    """HEAD and GET of a page with a form show it, and nothing else."""
    both = [rule for rule in app.url_map.iter_rules() if {"GET", "POST"} <= rule.methods]
    assert {rule.endpoint for rule in both} == {"console.sign_in", "console.sign_in_once", "console.unknown_page"}


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_whoever_looks_at_a_link_does_not_use_it_up(app, context, method):
    add_user(context)
    link = f"/console/sign-in/once/{one_time_link(context, 'olga', 60)}"
    scanner = app.test_client()
    for path in (link, "/console/sign-in?name=olga"):
        answer = scanner.open(path, method=method)
        assert answer.status_code == 200
        assert not [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("contactexport_console=")]
    assert execute(context, "SELECT count(*) AS n FROM console_session") == [{"n": 0}]
    browser = Browser(app)
    browser.get(link)
    assert browser.post(link).headers["Location"] == "/console/"


def use_up(context, kind: str) -> None:
    """All sign-ins of this kind are used up, in the running minute and in the next ones."""
    execute(
        context,
        "INSERT INTO request_count (user_name, minute, requests) "
        "SELECT user_name, minute + make_interval(mins => n), 1000 FROM request_count, generate_series(0, 9) AS n "
        "WHERE user_name LIKE %s ON CONFLICT (user_name, minute) DO UPDATE SET requests = 1000",
        [f'"sign-in" {kind} %'],
    )


def test_sign_in_is_limited_by_name(app, context):
    token, other = add_user(context), add_user(context, "peter")
    browser = Browser(app)
    assert browser.sign_in("olga", "wrong").status_code == 403
    use_up(context, "of")
    answer = browser.sign_in("olga", token)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Try again in" in answer.text
    assert browser.sign_in("peter", other).status_code == 303


def test_sign_in_is_limited_by_address(app, context):
    token = add_user(context)
    browser = Browser(app)
    assert browser.sign_in("nobody", "wrong").status_code == 403
    use_up(context, "from")
    assert browser.sign_in("olga", token).status_code == 429
    elsewhere = Browser(app)
    elsewhere.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert elsewhere.sign_in("olga", token).status_code == 303


def test_stranger_who_knows_a_name_does_not_keep_its_owner_out(app, context, monkeypatch):
    monkeypatch.setattr(session, "LIMIT_OF_NAME", 1)
    token = add_user(context)
    stranger = Browser(app)
    stranger.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    answers = {stranger.sign_in("olga", "wrong").status_code for _ in range(4)}
    assert 429 in answers
    assert Browser(app).sign_in("olga", token).status_code == 303


def test_limit_is_a_number_of_sign_ins_a_minute(app, context, monkeypatch):
    monkeypatch.setattr(session, "LIMIT_OF_NAME", 3)
    browser = Browser(app)
    answers = [browser.sign_in("olga", "wrong").status_code for _ in range(7)]  # in two minutes at most
    assert set(answers) == {403, 429}
    assert 3 <= answers.count(403) <= 6


def test_form_without_its_token_is_refused(app, context):
    token = add_user(context)
    browser = Browser(app)
    browser.get("/console/sign-in")
    answer = browser.post("/console/sign-in", name="olga", token=token, csrf_token="")
    assert answer.status_code == 400
    stranger = Browser(app)
    stranger.get("/console/sign-in")
    answer = browser.post("/console/sign-in", name="olga", token=token, csrf_token=stranger.csrf_token)
    assert answer.status_code == 400


def test_signing_out_ends_the_session_in_the_database(app, context):
    browser = signed_in(app, context)
    stolen = browser.client.get_cookie("contactexport_console", path="/console").value
    assert browser.post("/console/sign-out").status_code == 303
    browser.client.set_cookie("contactexport_console", stolen, path="/console")
    assert browser.get("/console/").status_code == 303


def test_signing_out_everywhere_ends_other_browsers(app, context):
    token = add_user(context)
    one, other, stranger = Browser(app), Browser(app), signed_in(app, context, "peter")
    for browser in (one, other):
        browser.sign_in("olga", token)
    one.get("/console/")
    assert one.post("/console/sign-out/everywhere").status_code == 303
    assert other.get("/console/").status_code == 303
    assert stranger.get("/console/").status_code == 200


def test_unused_link_ends_with_the_token(app, context):
    for name in ("olga", "peter"):
        add_user(context, name)
    links = {name: f"/console/sign-in/once/{one_time_link(context, name, 60)}" for name in ("olga", "peter")}
    manage.rotate_user(context, "olga", with_wsse=False, with_token=True)
    for name, page in {"olga": "/console/sign-in", "peter": "/console/"}.items():
        browser = Browser(app)
        browser.get(links[name])
        assert browser.post(links[name]).headers["Location"] == page


@pytest.mark.parametrize(
    "end",
    [
        lambda context: manage.revoke_user(context, "olga"),
        lambda context: manage.rotate_user(context, "olga", with_wsse=False, with_token=True),
    ],
)
def test_session_ends_with_the_token(app, context, end):
    browser = signed_in(app, context, operator=True)
    end(context)
    assert browser.get("/console/").status_code == 303


def test_role_counts_from_the_next_request_on(app, context):
    browser = signed_in(app, context, operator=True)
    assert "<small>operator</small>" in browser.get("/console/").text
    manage.set_user(context, "olga", None, {"operator": False})
    assert "<small>team default</small>" in browser.get("/console/").text


def one_time_link(context, name, seconds):
    with context.database.transaction() as conn:
        with conn.cursor() as cursor:
            cursor.execute("SELECT id FROM api_user WHERE name = %s", [name])
            user_id = cursor.fetchone()["id"]
        return session.new_one_time_link(conn, user_id, seconds)


def test_one_time_link_signs_in_once_by_its_button(app, context, caplog):
    caplog.set_level("INFO")
    add_user(context)
    link = f"/console/sign-in/once/{one_time_link(context, 'olga', 60)}"
    browser = Browser(app)
    for _ in range(2):  # a browser that fetches it in advance uses nothing up
        assert browser.get(link).status_code == 200
    assert browser.post(link).headers["Location"] == "/console/"
    assert browser.get("/console/").status_code == 200
    other = Browser(app)
    other.get(link)
    assert other.post(link).headers["Location"] == "/console/sign-in"
    assert link.rpartition("/")[2] not in caplog.text


def test_one_time_link_expires(app, context):
    add_user(context)
    link = f"/console/sign-in/once/{one_time_link(context, 'olga', -1)}"
    browser = Browser(app)
    browser.get(link)
    assert browser.post(link).headers["Location"] == "/console/sign-in"


def test_unknown_page_is_a_page(app, context):
    answer = signed_in(app, context).get("/console/nothing/here")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_page_that_reloads_itself_leads_to_the_sign_in_when_the_session_ends(app):
    answer = Browser(app).get("/console/exports", headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == "/console/sign-in"


def test_secret_in_the_field_of_the_name_is_not_logged(app, context, caplog):
    caplog.set_level("INFO")
    token = add_user(context)
    Browser(app).sign_in(token, "olga")
    assert "sign-in refused" in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize(
    ("address", "counted"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64"), ("192.0.2.1", "192.0.2.1")],
)
def test_addresses_of_one_client_are_counted_together(app, context, address, counted):
    browser = Browser(app)
    browser.client.environ_base["REMOTE_ADDR"] = address
    browser.sign_in("olga", "wrong")
    found = {row["user_name"] for row in execute(context, "SELECT user_name FROM request_count")}
    name = hashlib.sha256(b"olga").hexdigest()
    assert found == {f'"sign-in" from {counted}', f'"sign-in" of {name} from {counted}'}


def test_other_process_knows_the_session_and_the_number_of_sign_ins(app, context):
    token = add_user(context)
    other = contactexport.create_app()
    browser, elsewhere = Browser(app), Browser(other)
    try:
        browser.sign_in("olga", token)
        session_id = browser.client.get_cookie("contactexport_console", path="/console").value
        elsewhere.client.set_cookie("contactexport_console", session_id, path="/console")
        assert elsewhere.get("/console/").status_code == 200
        assert elsewhere.post("/console/sign-out").status_code == 303
        assert browser.get("/console/").status_code == 303
        use_up(context, "of")
        assert [one.sign_in("olga", token).status_code for one in (browser, elsewhere)] == [429, 429]
    finally:
        other.extensions["contactexport"].database.close()


@pytest.mark.parametrize(
    "passed", ["seen_at = seen_at - interval '13 hours'", "expires_at = expires_at - interval '8 days'"]
)
def test_session_ends_after_a_while(app, context, passed):
    browser = signed_in(app, context)
    execute(context, f"UPDATE console_session SET {passed}")
    assert browser.get("/console/").status_code == 303


def test_sessions_that_are_over_are_deleted(app, context):
    signed_in(app, context)
    signed_in(app, context, "peter")
    execute(
        context,
        "UPDATE console_session SET expires_at = now() - interval '1 day' "
        "WHERE user_id = (SELECT id FROM api_user WHERE name = 'olga')",
    )
    with context.database.transaction() as conn:
        user_store.forget_ended_sessions(conn)
    assert execute(context, "SELECT count(*) AS left_over FROM console_session") == [{"left_over": 1}]


def test_database_has_no_secret_of_a_session(app, context):
    browser = signed_in(app, context)
    session_id = browser.client.get_cookie("contactexport_console", path="/console").value
    stored = execute(context, "SELECT * FROM console_session")[0]
    texts = [bytes(one) if isinstance(one, memoryview) else one for one in stored.values()]
    assert session_id not in repr(texts)
    assert bytes(stored["id_hash"]) == hashlib.sha256(session_id.encode()).digest()
