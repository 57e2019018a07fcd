"""One export: its timeline, its file, its buttons, and texts of others that stay texts."""

import html
import json
import re

import pytest

from contactexport.errors import StorageUnfit
from contactexport.exports import deliver
from contactexport.exports import store as export_store
from contactexport.exports.lock import aborting_when_lost
from contactexport.exports.models import SftpTarget
from contactexport.users import manage
from contactexport.users.store import Rights
from tests.support.console_pages import signed_in
from tests.support.exporting import (
    PASSWORD,
    by_ftp,
    contact_changed,
    execute,
    export_file,
    request,
    row_of,
    run,
    settings_for,
)

EVIL = "<img src=x onerror=alert(1)>"
ANSI = "550 \x1b[31mdenied\x1b[0m \x1b]0;title\x07\x08 \u202etxt.exe"


def page_of(browser, export_id) -> str:
    answer = browser.get(f"/console/exports/{export_id}")
    assert answer.status_code == 200
    return answer.text


def moments_of(text: str) -> list[str]:
    return re.findall(r'<span class="name">([^<]+)</span>', text)


def test_finished_export_has_its_timeline_and_first_lines(app, context):
    contact_changed(context, first_name="Anna", email="anna@example.com")
    export = run(context, request(context, settings_for(header=True)))
    text = page_of(signed_in(app, context, operator=True), export.id)
    assert moments_of(text) == ["Accepted", "Claimed by a worker", "File written", "Done"]
    assert re.findall(r"<t[hd][^>]*>(First Name|Anna|anna@example\.com)</t[hd]>", text) == [
        "First Name",
        "Anna",
        "anna@example.com",
    ]
    assert export.sha256 in text
    assert "hx-get" not in text  # nothing changes any more


def test_preview_ends_after_twenty_lines(app, context):
    for number in range(25):
        contact_changed(context, first_name=f"name{number}")
    export = run(context, request(context, settings_for(header=True)))
    text = page_of(signed_in(app, context, operator=True), export.id)
    assert len(re.findall(r"<td>name\d+</td>", text)) == 19


@pytest.mark.parametrize("value", ["x" * 140_000, "a\rb" * 70_000])
def test_file_with_a_long_value_has_a_page(app, context, value):
    """csv refuses a field of more than 131,072 characters."""
    contact_changed(context, first_name=value)
    export = run(context, request(context, settings_for(header=True)))
    assert "Done" in moments_of(page_of(signed_in(app, context, operator=True), export.id))


def test_file_that_is_no_table_has_no_preview(app, context):
    contact_changed(context, first_name="Anna")
    export = run(context, request(context, settings_for(header=True)))
    path = deliver.stored_file(context, export)
    path.chmod(0o600)
    path.write_bytes(b"a\rb".ljust(export.bytes, b"c"))
    assert "Done" in moments_of(page_of(signed_in(app, context, operator=True), export.id))


def test_history_that_was_deleted_leaves_a_timeline(app, context):
    export = run(context, request(context, settings_for()))
    execute(context, "UPDATE export_event SET happened_at = now() - interval '91 days'")
    with context.database.transaction() as conn:
        export_store.forget_history(conn)
    assert execute(context, "SELECT count(*) AS left_over FROM export_event") == [{"left_over": 0}]
    text = page_of(signed_in(app, context, operator=True), export.id)
    assert moments_of(text) == ["Accepted", "Claimed by a worker", "File written", "Done"]


def test_texts_of_others_are_no_markup(app, context):
    contact_changed(context, first_name=EVIL)
    export_id = request(context, settings_for(header=True))
    run(context, export_id)
    ftp_id = request(context, by_ftp(21, folder="""in"><script>'x'"""))
    execute(
        context,
        "UPDATE export SET deliveries = %s, error = %s WHERE id = %s",
        [
            json.dumps([{"attempt": 1, "at": "2026-01-01T00:00:00+00:00", "reply": ANSI}]),
            EVIL,
            ftp_id,
        ],
    )
    browser = signed_in(app, context, operator=True)
    for shown in (page_of(browser, export_id), page_of(browser, ftp_id), browser.get("/console/exports").text):
        assert "<img src=x" not in shown
        assert "<script>'" not in shown
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", shown)
    assert html.escape(EVIL) in page_of(browser, export_id)
    assert "550 denied" in page_of(browser, ftp_id)


def test_request_is_shown_without_secrets(app, context):
    url = "https://hooks.example.com/in?key=verysecret"
    export_id = request(context, settings_for(**vars(by_ftp(21)) | {"notification_url": url}))
    text = html.unescape(page_of(signed_in(app, context, operator=True), export_id))
    shown = json.loads(re.search(r"<code>(\{.*?\n\})</code>", text, re.DOTALL)[1])
    assert shown["ftp_settings"]["host"] == "127.0.0.1"
    assert shown["time_range"][0].startswith("2012-02-09")
    assert "verysecret" not in text
    assert PASSWORD not in text


def test_error_appears_in_the_part_that_reloads_itself(app, context):
    export_id = request(context, settings_for())
    browser = signed_in(app, context, operator=True)
    url = re.search(r'hx-get="([^"]+)"', page_of(browser, export_id))[1].replace("&amp;", "&")
    assert browser.get(url).status_code == 204
    execute(
        context,
        "UPDATE export SET status = 'error', error = 'disk full', due_at = NULL, finished_at = now() WHERE id = %s",
        [export_id],
    )
    text = browser.get(url).text
    assert 'role="alert"' in text
    assert "disk full" in text
    assert "Ended in error" in moments_of(text)
    assert ">Retry</button>" in text


def test_cancelled_export_is_in_the_audit_log_with_who_and_where(app, context, caplog):
    caplog.set_level("INFO")
    export_id = request(context, settings_for())
    browser = signed_in(app, context, operator=True)
    page_of(browser, export_id)
    answer = browser.post(f"/console/exports/{export_id}/cancel", follow=True)
    assert "The export is cancelled." in answer.text
    assert row_of(context, export_id)["error"] == "cancelled"
    lines = [json.loads(one.message) for one in caplog.records if one.name == "contactexport.audit"]
    wanted = {"user": "olga", "address": "127.0.0.1", "door": "console", "export": export_id}
    assert [wanted.items() <= line.items() for line in lines if line["event"] == "export cancelled"].count(True) == 1


def test_failed_export_is_retried_with_its_password(app, context):
    export_id = request(context, by_ftp(21))
    execute(
        context,
        "UPDATE export SET status = 'error', error = 'x', due_at = NULL, finished_at = now(), ftp_secret = NULL "
        "WHERE id = %s",
        [export_id],
    )
    browser = signed_in(app, context, operator=True)
    page_of(browser, export_id)
    answer = browser.post(f"/console/exports/{export_id}/retry", follow=True, username="user")
    assert "its password was wiped: give it again" in answer.text
    answer = browser.post(f"/console/exports/{export_id}/retry", follow=True, username="other", password="geheim2")
    assert "The export is due again." in answer.text
    assert "geheim2" not in answer.text
    row = row_of(context, export_id)
    assert (row["status"], row["settings"]["ftp"]["username"]) == ("scheduled", "other")
    assert context.secrets.decrypt(bytes(row["ftp_secret"])) == "geheim2"
    assert moments_of(answer.text)[-1] == "Retried"


def failed(context, settings) -> int:
    export_id = request(context, settings, PASSWORD)
    execute(
        context,
        "UPDATE export SET status = 'error', error = 'x', due_at = NULL, finished_at = now(), ftp_secret = NULL, "
        "notify_secret = NULL WHERE id = %s",
        [export_id],
    )
    return export_id


def test_retries_count_among_the_unfinished_exports_of_the_user(app, context):
    exports = [failed(context, settings_for(delimiter=delimiter)) for delimiter in ",;"]
    browser = signed_in(app, context, exports_per_user=1)
    texts = []
    for export_id in exports:
        page_of(browser, export_id)
        texts.append(browser.post(f"/console/exports/{export_id}/retry", follow=True).text)
    assert "The export is due again." in texts[0]
    assert "Too many unfinished exports: 1 is the limit" in texts[1]
    assert [row_of(context, one)["status"] for one in exports] == ["scheduled", "error"]


SFTP = SftpTarget("127.0.0.1", 22, "anna", "SHA256:" + "A" * 43)


@pytest.mark.parametrize(
    ("settings", "typed", "text"),
    [
        (vars(by_ftp(21)), {"password": "x\r\nDELE file"}, "Invalid value for ftp_settings.password: ***"),
        (vars(by_ftp(21)), {"password": "x" * 1025}, "Invalid value for ftp_settings.password: ***"),
        (vars(by_ftp(21)), {"password": "x", "username": "a\nb"}, "Invalid value for ftp_settings.username: a"),
        (vars(by_ftp(21)), {"password": "x", "username": "u" * 1025}, "Invalid value for ftp_settings.username: uuu"),
        (
            {"distribution_method": "sftp", "sftp": SFTP},
            {"private_key": "k" * 30_000},
            "Invalid value for sftp_settings.private_key: ***",
        ),
        (
            {"distribution_method": "sftp", "sftp": SFTP},
            {"password": "x", "private_key": "y"},
            "either a password or a private key expected",
        ),
        (
            {"notification_url": "http://127.0.0.1/x?token=geheim"},
            {"notification_url": "http://127.0.0.1/" + "x" * 2048},
            "Invalid value for notification_url",
        ),
        (
            {"notification_url": "http://127.0.0.1/x?token=geheim"},
            {"notification_url": "http://127.0.0.1/\x01"},
            "Invalid value for notification_url",
        ),
    ],
)
def test_what_is_typed_for_a_retry_is_checked_like_a_request(app, context, settings, typed, text):
    export_id = failed(context, settings_for(**settings))
    browser = signed_in(app, context, operator=True)
    page_of(browser, export_id)
    answer = browser.post(f"/console/exports/{export_id}/retry", follow=True, **typed)
    assert answer.status_code == 200
    assert text in html.unescape(answer.text)
    assert row_of(context, export_id)["status"] == "error"


def test_retry_tells_nothing_of_the_storage_to_users(app, context, monkeypatch):
    def unfit(*_args, **_kwargs):
        raise StorageUnfit("/srv/secret/exports has another marker", "another marker")

    export_id = failed(context, settings_for())
    browser = signed_in(app, context, operator=True)
    page_of(browser, export_id)
    monkeypatch.setattr("contactexport.exports.retry._has_file", unfit)
    answer = browser.post(f"/console/exports/{export_id}/retry", follow=True)
    assert (answer.status_code, "/srv/secret" in answer.text) == (503, False)


def test_export_that_has_ended_since_the_page_was_shown_keeps_its_file(app, context):
    contact_changed(context)
    export_id = request(context, settings_for())
    browser = signed_in(app, context, operator=True)
    assert "Cancel" in page_of(browser, export_id)
    run(context, export_id)
    answer = browser.post(f"/console/exports/{export_id}/cancel", follow=True)
    assert "had already ended" in answer.text
    assert browser.get(f"/console/exports/{export_id}/file").status_code == 200
    answer = browser.post(f"/console/exports/{export_id}/delete-file", follow=True)
    assert "The file is deleted." in answer.text
    assert row_of(context, export_id)["file_deleted_at"] is not None


def test_export_that_goes_on_is_not_ended_by_deleting_its_file(app, context):
    export_id = request(context, settings_for())
    browser = signed_in(app, context, operator=True)
    page_of(browser, export_id)
    answer = browser.post(f"/console/exports/{export_id}/delete-file", follow=True)
    assert "has not ended" in answer.text
    assert row_of(context, export_id)["status"] == "scheduled"


def test_download_has_the_bytes_of_the_file(app, context, caplog):
    caplog.set_level("INFO")
    contact_changed(context, first_name="Zoë")
    content = export_file(context, settings_for())
    export_id = execute(context, "SELECT max(id) AS id FROM export")[0]["id"]
    browser = signed_in(app, context, operator=True)
    answer = browser.get(f"/console/exports/{export_id}/file")
    assert answer.data == content
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=changes_")
    assert "file downloaded" in caplog.text


@pytest.mark.parametrize("path", ["", "/file"])
def test_export_of_another_team_is_not_found(app, context, path):
    export = run(context, request(context, settings_for()))
    execute(context, "UPDATE export SET team = 'press'")
    assert signed_in(app, context, team="shop").get(f"/console/exports/{export.id}{path}").status_code == 404
    assert signed_in(app, context, "paul", team="press").get(f"/console/exports/{export.id}{path}").status_code == 200


def test_download_needs_a_session(app, context):
    export = run(context, request(context, settings_for()))
    answer = app.test_client().get(f"/console/exports/{export.id}/file")
    assert (answer.status_code, answer.headers["Location"][:16]) == (303, "/console/sign-in")


def test_viewer_has_no_buttons_and_may_not_act(app, context):
    export_id = request(context, settings_for())
    browser = signed_in(app, context, viewer=True)
    assert f"/exports/{export_id}/cancel" not in page_of(browser, export_id)
    assert browser.post(f"/console/exports/{export_id}/cancel").status_code == 403
    assert row_of(context, export_id)["status"] == "scheduled"


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_user_of_a_team_acts_on_its_exports_only(app, context, action):
    export_id = request(context, settings_for())
    execute(context, "UPDATE export SET team = 'press'")
    browser = signed_in(app, context, team="shop")
    assert browser.post(f"/console/exports/{export_id}/{action}").status_code == 404
    assert row_of(context, export_id)["status"] == "scheduled"


def test_viewer_changes_nothing_by_the_api_either(app, context):
    export_id = request(context, settings_for())
    token = manage.add_user(context, "vera", with_wsse=False, with_token=True, rights=Rights(viewer=True)).token
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    assert client.get(f"/api/v2/export/{export_id}").status_code == 200
    assert client.delete(f"/api/v2/export/{export_id}").status_code == 403
    assert client.post("/api/v2/contact/getchanges", json={}).status_code == 403


def test_rows_are_noted_while_they_are_written(app, context, monkeypatch):
    monkeypatch.setattr("contactexport.exports.lock.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("contactexport.exports.lock.NOTE_SECONDS", 0.01)
    export_id = request(context, settings_for())
    with context.database.transaction() as conn:
        export = export_store.claim(conn, export_id, export_store.get(conn, export_id).setting_key)
        export_store.note_expected_rows(conn, export, 1000)
    with aborting_when_lost(context, export, abort=lambda: None, written_rows=lambda: 250):
        for _ in range(1000):
            if row_of(context, export_id)["rows_written"] == 250:
                break
    assert '<progress max="100" value="25"' in page_of(signed_in(app, context, operator=True), export_id)
    assert moments_of(page_of(signed_in(app, context, "o2", operator=True), export_id)) == [
        "Accepted",
        "Claimed by a worker",
    ]
