"""/docs in a real browser: accessible, small, by keyboard, on a phone, and calls with one's own token."""

import json

import pytest

from tests.support.browsing import NARROW, WIDE

FIRST_VIEW_BYTES = 150_000
LOOKS = [(width, scheme) for width in (NARROW, WIDE) for scheme in ("light", "dark")]


@pytest.mark.parametrize("width, scheme", LOOKS)
def test_page_is_accessible_and_fits_the_window(visit, width, scheme):
    opened = visit(width, scheme)
    page = opened.open("/docs")
    page.locator("#choices .try > summary").click()
    page.locator("#choices").scroll_into_view_if_needed()
    if width == NARROW:
        page.locator(".fold > summary").click()
    assert opened.violations() == []
    assert opened.sideways() == 0


def test_first_view_is_small(visit):
    opened = visit()
    opened.open("/docs")
    assert 10_000 < opened.transferred <= FIRST_VIEW_BYTES


def test_page_reads_without_javascript(visit):
    page = visit(NARROW, java_script_enabled=False).open("/docs")
    assert page.locator("#status h3").inner_text() == "The status of an export"
    assert page.locator(".copy, .try, #own").filter(visible=True).count() == 0
    contents = page.locator("nav")
    assert not contents.is_visible()
    page.locator(".fold > summary").click()
    contents.get_by_role("link", name="Cancel an export").click()
    assert page.url.endswith("#cancel")


def test_contents_are_folded_on_a_phone_and_close_after_a_choice(visit):
    page = visit(NARROW).open("/docs")
    assert not page.locator("nav").is_visible()
    page.locator(".fold > summary").click()
    page.locator("nav").get_by_role("link", name="Delete a feed").click()
    assert not page.locator("nav").is_visible()
    assert page.locator("#delete_feed h3").is_visible()


def test_contents_show_the_current_section(visit):
    page = visit().open("/docs")
    current = page.locator("nav [aria-current]")
    for section in ("calling", "getchanges", "feed", "healthz", "getdata"):
        page.evaluate("(id) => document.getElementById(id).scrollIntoView({behavior: 'instant'})", section)
        page.wait_for_function(
            "(id) => document.querySelector('nav [aria-current]')?.hash === '#' + id", arg=section, timeout=10_000
        )
        assert current.count() == 1
        assert current.is_visible()


def test_request_is_copied(visit):
    opened = visit()
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened.open("/docs")
    page.get_by_role("button", name="Copy: Request").nth(3).click()
    page.get_by_text("Copied", exact=True).wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f'curl "{opened.url}/api/v2/export/{{export_id}}" \\\n  -H "Authorization: Bearer $TOKEN"'


def test_calls_are_tried_with_ones_own_token(visit, service):
    opened = visit()
    page = opened.open("/docs")
    page.get_by_label("Your token, for").fill(service.token)

    def sent(section: str) -> str:
        box = page.locator(f"#{section}")
        if not box.locator(".try").evaluate("(one) => one.open"):
            box.locator(".try > summary").click()
        box.locator(".send").click()
        box.locator(".send:not([aria-disabled=true])").wait_for()
        return box.locator(".try .code").inner_text()

    accepted = sent("getchanges")
    assert "HTTP 200" in accepted
    export_id = json.loads(accepted[accepted.index("{") :])["data"]["id"]
    # The id of the accepted export is filled in where one is asked for.
    service.finished(export_id)
    assert f'"id": "{export_id}"' in sent("status")
    assert '"status": "done"' in sent("status")
    assert "user_id" in sent("data")
    page.locator("#status-export_id").fill("../../../evil")
    assert "HTTP 404" in sent("status")
    page.locator("#choices-field_id").or_(page.locator("#choices summary")).first.click()
    page.get_by_label("Your token, for").fill("wrong")
    assert "HTTP 401" in sent("choices")
    assert "HTTP 200" in sent("healthz")
    # The token is nowhere but in the page.
    kept = page.evaluate("[location.href, document.cookie, localStorage.length, sessionStorage.length, history.state]")
    assert kept == [f"{opened.url}/docs", "", 0, 0, None]
    page.reload()
    assert page.get_by_label("Your token, for").input_value() == ""


def test_answer_never_becomes_markup(visit, service):
    opened = visit()
    page = opened.open("/docs")
    hostile = {"replyCode": 1, "replyText": "<img src=x onerror=alert(1)>", "data": ""}
    page.route("**/healthz", lambda route: route.fulfill(json=hostile))
    page.locator("#healthz .try > summary").click()
    page.locator("#healthz .send").click()
    page.locator("#healthz .try pre").get_by_text("onerror=alert(1)").wait_for()
    assert page.locator("img").count() == 0


def test_page_works_by_keyboard(visit):
    page = visit().open("/docs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("#healthz .try > summary").focus()
    page.keyboard.press("Enter")
    page.locator("#healthz .send").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#healthz .try").get_by_text("HTTP 200").wait_for()
    focused = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert focused == "solid"
