"""New export: the form, its errors, the preview, the same as curl, and sending."""

import html
import json
import re
from datetime import UTC, datetime

from contactexport.console import export_form
from contactexport.exports import status as export_status
from contactexport.feeds import store as feed_store
from contactexport.users.models import Caller
from tests.support.console_forms import BY_FTP, LOCAL, SECRET
from tests.support.console_pages import signed_in
from tests.support.exporting import contact_changed, execute, request, row_of, settings_for

FORM = "/console/new-export"
SEND = "/console/new-export/send"
SAVE = "/console/new-export/feed"
OLGA = Caller("olga", operator=True)


def operator(app, context, **rights):
    browser = signed_in(app, context, **({"operator": True} | rights))
    browser.get(FORM)
    return browser


def posted(browser, path=FORM, **fields):
    return browser.post(path, **{**LOCAL, **fields})


def hidden(page, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]+)"', page.text)[1]


def exports(context):
    return execute(context, "SELECT * FROM export ORDER BY id")


def test_form_offers_the_lists_of_the_catalogue(app, context):
    execute(context, "INSERT INTO origin (kind, id, name) VALUES ('form', 7, '<img src=x onerror=alert(1)>')")
    page = operator(app, context).get(FORM).text
    assert "Newsletter registration" in page
    assert "First Name" in page
    assert 'name="field" value="27"' not in page  # never exported
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page


def test_preview_tells_what_is_expected_and_stores_nothing(app, context):
    contact_changed(context, first_name="Anna")
    page = posted(operator(app, context))
    assert page.status_code == 200
    assert re.search(r"<dt>Contacts</dt><dd>1</dd>", page.text)
    assert "No finished export has these fields and this method yet" in page.text
    assert exports(context) == []


def test_export_that_is_sent_is_that_of_the_api(app, context, api):
    answer = posted(operator(app, context), SEND, removed="1", origin_column="1", may_be_incomplete="1")
    export_id = exports(context)[0]["id"]
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/console/exports/{export_id}")
    body = {
        "distribution_method": "local",
        "time_range": ["2012-02-09", "2012-04-02"],
        "origin": "form",
        "origin_id": 123,
        "contact_fields": [1, 3],
        "add_field_names_header": 0,
        "removed": 1,
        "origin_column": 1,
        "may_be_incomplete": 1,
    }
    refused = api.post("/api/v2/contact/getchanges", json=body)
    assert (refused.json["replyCode"], refused.headers["X-Export-Id"]) == (4001, str(export_id))
    assert exports(context)[0]["created_by"] == "olga"


def test_errors_are_those_of_the_api_each_beside_its_input(app, context):
    page = posted(operator(app, context), start="2012-02-30", field=["27"], form_id=["99"], delimiter="|")
    assert page.status_code == 400
    for parameter, text in {
        "time_range": "Valid start_date and end_date is required",
        "contact_fields": "Invalid contact field id: 27",
        "origin_id": "Invalid value for origin_id: 99",
        "delimiter": "Invalid value for delimiter: |",
    }.items():
        assert re.search(rf'id="wrong-{parameter}"[^\n]*{re.escape(text)}', page.text), parameter
    assert 'value="2012-02-30"' in page.text


def test_same_setting_is_refused_with_a_link_to_the_export(app, context):
    export_id = request(context, settings_for())
    browser = operator(app, context)
    assert f'/console/exports/{export_id}">export {export_id}</a> has the same setting' in posted(browser).text
    refused = posted(browser, SEND)
    assert refused.status_code == 400  # as from the API
    assert f'/console/exports/{export_id}">export {export_id}</a>' in refused.text
    assert len(exports(context)) == 1


def test_window_of_the_clock_is_the_same_for_a_second_click(app, context, monkeypatch):
    browser = operator(app, context)
    moments = [datetime(2026, 3, 5, 12, 0, 7, micros, UTC) for micros in (1, 400_000)]

    class Clock(datetime):
        @classmethod
        def now(cls, _zone):
            return moments.pop(0)

    monkeypatch.setattr(export_form, "datetime", Clock)
    answers = [posted(browser, SEND, window="today", start="", end="") for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 400]
    assert (
        "has the same setting" in answers[1].text or f"/console/exports/{exports(context)[0]['id']}" in answers[1].text
    )
    assert len(exports(context)) == 1


def test_limit_of_the_user_holds_here_too(app, context):
    browser = operator(app, context, exports_per_user=1)
    assert posted(browser, SEND).status_code == 303
    browser.get(FORM)
    assert posted(browser, SEND, delimiter=";").status_code == 429
    assert len(exports(context)) == 1


def test_password_is_kept_for_sending_and_is_on_no_page(app, context):
    browser = operator(app, context)
    page = posted(browser, **BY_FTP, **{"ftp_settings.password": SECRET})
    assert page.status_code == 200
    assert SECRET not in page.text
    assert json.dumps(SECRET)[1:-1] not in html.unescape(page.text)
    sealed = hidden(page, "sealed")
    assert posted(browser, SEND, **BY_FTP, sealed=sealed).status_code == 303
    stored = exports(context)[0]
    assert context.secrets.decrypt(bytes(stored["ftp_secret"])) == SECRET
    assert SECRET not in str(stored["settings"])


def test_kept_password_is_not_sent_to_another_host(app, context):
    browser = operator(app, context)
    sealed = hidden(posted(browser, **BY_FTP, **{"ftp_settings.password": SECRET}), "sealed")
    refused = posted(browser, SEND, **BY_FTP | {"ftp_settings.host": "127.0.0.2"}, sealed=sealed)
    assert refused.status_code == 400
    assert 'id="wrong-ftp_settings.password"' in refused.text
    assert exports(context) == []


def test_curl_asks_for_the_password_and_for_a_url_with_a_token(app, context):
    url = "http://anna:pw@127.0.0.1:9/done?token=t0p"
    page = posted(operator(app, context), **BY_FTP, **{"ftp_settings.password": SECRET}, notification_url=url)
    curl = html.unescape(re.search(r'<pre class="pick-all" id="curl".*?<code>(.*?)</code>', page.text, re.DOTALL)[1])
    assert "read -rs FTP_PASSWORD" in curl
    assert "read -rs NOTIFICATION_URL" in curl
    assert curl.endswith("http://localhost/api/v2/contact/getchanges")
    for secret in (SECRET, "t0p", "anna:pw"):
        assert secret not in html.unescape(page.text)
    assert "http://***@127.0.0.1:9/done?***" in page.text


def test_notification_url_with_secrets_is_kept_for_sending(app, context):
    browser, url = operator(app, context), "http://127.0.0.1:9/done?token=t0p"
    sealed = hidden(posted(browser, notification_url=url), "sealed_url")
    assert posted(browser, SEND, sealed_url=sealed).status_code == 303
    assert context.secrets.decrypt(bytes(exports(context)[0]["notify_secret"])) == url
    assert posted(browser, SEND, sealed_url="rubbish", delimiter=";").status_code == 400


def test_preset_is_shown_as_its_dates_which_are_then_sent(app, context):
    page = posted(operator(app, context), window="last_7_days", start="", end="")
    start, end = (re.search(rf'id="{name}" name="{name}" value="([^"]+)"', page.text)[1] for name in ("start", "end"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", start)
    assert start < end
    assert '<option value="custom" selected>' in page.text


def test_window_since_the_last_export_of_the_same_setting(app, context):
    browser = operator(app, context)
    assert "None of the newest exports has the same setting" in posted(browser, window="since_last").text
    export_id = request(context, settings_for(header=False))
    execute(
        context,
        "UPDATE export SET status = 'done', finished_at = now(), effective_until = '2012-04-02 00:00:00.000005Z', "
        "due_at = NULL WHERE id = %s",
        (export_id,),
    )
    assert 'value="2012-04-02T00:00:00.000005+00:00"' in posted(browser, window="since_last").text


def test_form_begins_with_the_settings_of_an_export_of_the_team_only(app, context):
    export_id = request(context, settings_for(delimiter=";"))
    page = operator(app, context).get(f"{FORM}?again={export_id}").text
    assert '<option value=";" selected>' in page
    assert 'value="123" checked' in page
    foreign = signed_in(app, context, "tim", team="shop").get(f"{FORM}?again={export_id}")
    assert (foreign.status_code, "Newsletter" in foreign.text) == (404, False)


def test_viewer_previews_and_sends_nothing(app, context):
    browser = operator(app, context, operator=False, viewer=True)
    page = posted(browser)
    assert page.status_code == 200
    assert "/console/new-export/send" not in page.text
    assert (posted(browser, SEND).status_code, posted(browser, SAVE, name="nightly").status_code) == (403, 403)
    assert exports(context) == []


def test_nothing_is_sent_without_the_csrf_token(app, context):
    browser = operator(app, context)
    browser.csrf_token = ""
    assert posted(browser, SEND).status_code == 400
    assert exports(context) == []


def test_form_is_saved_as_a_feed_with_the_checks_of_the_api(app, context):
    browser = operator(app, context)
    wrong = posted(browser, SAVE, name="a b", schedule="0 2 * * *")
    assert (wrong.status_code, 'id="wrong-name"' in wrong.text) == (400, True)
    wrong = posted(browser, SAVE, name="nightly", schedule="61 2 * * *")
    assert (wrong.status_code, 'id="wrong-schedule"' in wrong.text) == (400, True)
    for team in ("x" * 10_000, "a'b"):
        wrong = posted(browser, SAVE, name="nightly", team=team)
        assert (wrong.status_code, "Invalid team name" in wrong.text) == (400, True)
    saved = posted(
        browser, SAVE, name="nightly", schedule="0 2 * * *", removed="1", **BY_FTP, **{"ftp_settings.password": SECRET}
    )
    assert (saved.status_code, saved.headers["Location"]) == (303, "/console/feeds/nightly?team=default")
    with context.database.autocommit() as conn:
        feed = feed_store.get_visible(conn, "nightly", OLGA)
    assert (feed.schedule, feed.settings.contact_fields, feed.settings.removed) == ("0 2 * * *", (1, 3), True)
    assert context.secrets.decrypt(feed.ftp_secret) == SECRET
    again = posted(browser, SAVE, name="nightly")
    assert (again.status_code, "there is such a feed already" in again.text) == (400, True)


def test_team_of_the_user_owns_the_export(app, context):
    answer = posted(operator(app, context, operator=False, team="shop"), SEND)
    export_id = int(answer.headers["Location"].rpartition("/")[2])
    assert row_of(context, export_id)["team"] == "shop"
    assert export_status.status(context, export_id, Caller("tim", team="shop"))["created_by"] == "olga"


def test_registrations_are_asked_for_too(app, context):
    page = posted(operator(app, context), kind="registrations")
    assert "getregistrations" in page.text
    other = signed_in(app, context, "otto", operator=True)
    other.get(FORM)
    posted(other, SEND, kind="registrations")
    assert exports(context)[0]["settings"]["type"] == "registrations"
