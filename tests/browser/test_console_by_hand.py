"""What people do in the console, in a real browser: with a mouse, by keyboard, and without JavaScript."""

import threading
import time
from contextlib import contextmanager

import psutil
import pytest

from tests.support.browsing import NARROW, WIDE
from tests.support.served import command_of

STATUS = "main .badge >> nth=0"


def workers_of(service) -> list[psutil.Process]:
    found = psutil.Process(service.process.pid).children(recursive=True)
    return [child for child in found if "celery" in " ".join(command_of(child))]


@contextmanager
def stopped_workers(service):
    """No worker takes a turn, so exports wait."""
    workers = workers_of(service)
    for worker in workers:
        worker.suspend()
    try:
        yield
    finally:
        for worker in workers:
            worker.resume()


@contextmanager
def slowed_workers(service):
    """Stops the processes of the workers most of the time, so that an export lasts long enough to be watched."""
    workers = workers_of(service)
    ended = threading.Event()

    def slow() -> None:
        while not ended.is_set():
            for worker in workers:
                worker.suspend()
            ended.wait(0.29)
            for worker in workers:
                worker.resume()
            time.sleep(0.01)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def never_reloaded(page) -> bool:
    return page.evaluate("window.mark === 1")


def test_wrong_token_is_told_and_the_right_one_signs_in_and_out(visit, console):
    page = visit().open("/console/feeds")  # leads to the sign-in, and back afterwards
    page.get_by_label("Name").fill("olga")
    page.get_by_label("Token").fill("cx_wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "No active user has this name and this token" in page.get_by_role("alert").inner_text()
    page.get_by_label("Token").fill(console.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1, name="Feeds").wait_for()
    page.locator(".me summary").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_text("You are signed out").wait_for()
    page.goto(page.url.replace("/sign-in", "/feeds"))
    page.get_by_role("heading", level=1, name="Sign in").wait_for()


def test_second_click_sends_nothing(visit, console):
    opened = visit()
    page = console.sign_in(opened)
    opened.open("/console/new-export")
    page.locator("input[name=origin][value=all]").check()
    page.locator("#contact_fields input[type=checkbox]").first.check()
    page.get_by_label("When", exact=True).select_option("today")
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    with stopped_workers(console.service):
        button = page.get_by_role("button", name="Send without a preview")
        button.evaluate("button => { button.click(); setTimeout(() => button.click(), 1); }")
        page.get_by_role("heading", level=1, name="Export").wait_for()
        assert [url.rpartition("/console")[2] for url in sent] == ["/new-export/send"]
        page.get_by_role("button", name="Cancel").wait_for()
    page.go_back()
    assert page.get_by_role("button", name="Preview", exact=True).is_enabled()


def test_exports_are_filtered_as_soon_as_a_status_is_chosen(visit, console):
    opened = visit()
    page = console.sign_in(opened)
    opened.open("/console/exports")
    every = page.locator("table.exports tbody tr")
    assert every.count() >= 4
    page.get_by_label("Status").select_option("error")
    page.wait_for_url("**status=error**")
    assert [row for row in every.all_inner_texts() if "error" not in row and "cancelled" not in row] == []
    assert page.locator("main b").count() == 0
    assert "550 <b>No such folder</b>" in page.locator("table.exports tbody").inner_text()
    page.get_by_role("link", name="All exports").click()
    page.get_by_label("Id, file, host, feed or error").fill("nightly")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**q=nightly**")
    assert every.count() >= 2
    assert [row for row in every.all_inner_texts() if "nightly" not in row] == []


def test_export_is_asked_for_and_watched_until_it_is_done(visit, console):
    opened = visit()
    page = console.sign_in(opened)
    opened.open("/console/new-export")
    page.locator("input[name=origin][value=all]").check()
    for box in page.locator("#contact_fields input[type=checkbox]").all():
        box.check()
    page.get_by_label("When", exact=True).select_option("custom")
    page.locator("#start").fill("2000-01-01")
    page.locator("#end").fill("2020-01-01")
    page.get_by_role("button", name="Preview", exact=True).click()
    page.get_by_text("curl", exact=False).first.wait_for()
    with slowed_workers(console.service):
        page.get_by_role("button", name="Send", exact=False).first.click()
        page.get_by_role("heading", level=1, name="Export").wait_for()
        page.evaluate("window.mark = 1")
        told = page.locator(".progress .number >> nth=0")
        told.wait_for(timeout=60_000)
        seen = {told.inner_text()}
        give_up = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < give_up and told.is_visible():
            seen.add(told.inner_text())
            time.sleep(0.5)
        assert len(seen) == 2, seen
    page.locator(STATUS).get_by_text("done").wait_for(timeout=60_000)
    assert never_reloaded(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_failed_export_is_retried_and_ends_without_a_reload(visit, console):
    opened = visit()
    page = console.sign_in(opened)
    opened.open(f"/console/exports/{console.failed}")
    page.get_by_role("button", name="Retry").click()
    page.evaluate("window.mark = 1")
    page.locator(STATUS).get_by_text("done").wait_for(timeout=60_000)
    assert never_reloaded(page)


def test_running_export_is_cancelled_after_a_question(visit, console):
    opened = visit()
    page = console.sign_in(opened)
    asked = []
    with stopped_workers(console.service):
        export_id = console.service.accepted(contact_fields=["1"])
        opened.open(f"/console/exports/{export_id}")
        page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
        page.get_by_role("button", name="Cancel").click()
        assert "cancelled" not in page.locator(STATUS).inner_text()
        page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
        page.get_by_role("button", name="Cancel").click()
        page.locator(STATUS).get_by_text("cancelled").wait_for()
    assert asked == ["Cancel this export?"] * 2
    assert console.service.status(export_id)["error"] == "cancelled"


def test_feed_is_paused_and_resumed(visit, console):
    opened = visit()
    page = console.sign_in(opened)
    opened.open("/console/feeds")
    page.get_by_role("button", name="Pause: nightly").click()
    page.get_by_role("button", name="Resume: nightly").click()
    page.get_by_role("button", name="Pause: nightly").wait_for()
    opened.open("/console/feeds/nightly")
    assert page.locator("main svg.line").count() == 1


def test_everything_works_by_keyboard(visit, console):
    """Signs in and asks for an export. What has the focus is always visible."""
    opened = visit()
    page = opened.open("/console/sign-in")
    keys = page.keyboard

    def focused() -> str:
        style = page.evaluate(
            "() => { const one = document.activeElement, style = getComputedStyle(one);"
            " const { top, bottom } = one.getBoundingClientRect();"
            " return [style.outlineStyle, style.outlineWidth, top < innerHeight && bottom > 0] }"
        )
        assert style == ["solid", "3px", True], page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        return page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()")

    keys.type("olga")  # the first field has the focus
    keys.press("Tab")
    assert focused() == "token"
    keys.type(console.token)
    keys.press("Enter")
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    order = []
    while "New export" not in order:
        keys.press("Tab")
        order.append(focused())
        assert len(order) < 20, order
    assert order[0] == "Skip to content"
    keys.press("Enter")
    page.get_by_role("heading", level=1, name="New export").wait_for()
    keys.press("Tab")
    keys.press("Enter")  # skip to the content
    for _ in range(400):
        keys.press("Tab")
        name = focused()
        if name in {"form_id", "field"} and not page.evaluate(
            "document.activeElement.form.elements[document.activeElement.name][0]?.checked"
        ):
            keys.press("Space")
        if name == "Send without a preview":
            break
    keys.press("Enter")
    page.wait_for_load_state()
    page.get_by_role("heading", level=1, name="Export").wait_for()
    assert "/console/exports/" in page.url


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pages_work_without_javascript(visit, console, width):
    opened = visit(width, java_script_enabled=False)
    page = console.sign_in(opened)
    page.get_by_role("link", name="Exports", exact=True).click()
    page.get_by_label("Status").select_option("done")
    page.get_by_role("button", name="Filter").click()
    assert "status=done" in page.url
    page.locator("table.exports tbody tr a").first.click()
    page.get_by_role("heading", level=1, name="Export").wait_for()
    page.get_by_role("link", name="Feeds", exact=True).click()
    page.get_by_role("button", name="Run now: nightly").click()
    page.get_by_role("link", name="New export", exact=True).click()
    page.get_by_role("button", name="Preview", exact=True).click()
    page.get_by_role("link", name="System", exact=True).click()
    page.get_by_role("heading", level=1, name="System").wait_for()
