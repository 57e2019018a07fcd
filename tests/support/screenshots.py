"""`make screenshots`: pictures of every page of the console for docs/console.md, from what the demo leaves behind."""

import json
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from contactexport.embedded import demo
from contactexport.embedded.local_service import LocalService
from tests.support.browsing import NARROW, WIDE, chromium, running_browser
from tests.support.served import PROJECT, free_port

FOLDER = PROJECT / "docs" / "console"
FEED = {"distribution_method": "local", "origin": "form", "origin_id": 123, "contact_fields": [1, 2, 3]}
REFUSED = demo.EXAMPLE | {"ftp_settings": demo.EXAMPLE["ftp_settings"] | {"folder": "another/folder", "port": "1"}}
# Names and folders of the machine that takes the pictures say nothing to a reader.
NOT_OF_THIS_MACHINE = """
    for (const term of document.querySelectorAll("dl.facts dt"))
        if (["system", "host"].includes(term.textContent)) { term.nextElementSibling.remove(); term.remove(); }
    for (const line of document.querySelectorAll("#doctor span:last-child"))
        line.textContent = line.textContent.replace(/\\/\\S+\\/exports/, "/srv/exports");
    document.getElementById("h-set").closest("section").remove();
"""


def main() -> int:
    """Returns the exit code: that of the demo."""
    if chromium() is None:
        print("no Chromium on the path, and CHROMIUM names none", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="contactexport-") as folder:
        return demo.main(
            Path(folder, "demo"), contacts=20_000, http_port=free_port(), ftp_port=free_port(), afterwards=take
        )


def take(service: LocalService, link: str) -> None:
    """Adds what the demo lacks: a feed with some files, one that is paused, a user, and an export that waits."""
    token = json.loads(service.flask("users", "add", "anna", "--token", "--json"))["token"]
    service.flask("users", "add", "vera", "--viewer", "--token")
    for name, schedule in (("nightly", "0 2 * * *"), ("weekly", "0 3 * * 1"), ("hourly", "5 * * * *")):
        service.call("POST", "/api/v2/feed", token, {"name": name, "schedule": schedule, **FEED})
    for name in ("nightly", "hourly"):
        for _ in range(2):
            service.flask("feeds", "run", name)
    service.call("PATCH", "/api/v2/feed/weekly", token, {"paused": 1})
    service.call("POST", "/api/v2/contact/getchanges", token, REFUSED)
    FOLDER.mkdir(exist_ok=True)
    with running_browser() as browser:
        context = browser.new_context(viewport={"width": WIDE, "height": 900}, color_scheme="light")
        page = context.new_page()
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        address = f"http://127.0.0.1:{service.port}"
        for name, path in (
            ("overview", "/console/"),
            ("exports", "/console/exports"),
            ("export", "/console/exports/1"),
            ("feeds", "/console/feeds"),
            ("feed", "/console/feeds/nightly"),
            ("users", "/console/users"),
            ("system", "/console/system"),
            ("new-export", "/console/new-export"),
        ):
            answer = page.goto(address + path)
            assert answer is not None
            assert answer.ok, f"{path}: {answer.status}"
            if name == "new-export":
                fill_in(page)
            if name == "system":
                page.locator("#doctor li").first.wait_for(timeout=120_000)
                page.evaluate(NOT_OF_THIS_MACHINE)
            picture(page, name)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": NARROW, "height": 720})
        page.goto(f"{address}/console/")
        picture(page, "overview-phone-dark")
        page.set_viewport_size({"width": WIDE, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(f"{address}/docs#getchanges")
        picture(page, "docs")


def fill_in(page: Page) -> None:
    """Asks for the preview of an export like that of the demo."""
    for name, value in (("form_id", "123"), ("field", "1"), ("field", "2"), ("field", "3")):
        page.locator(f"input[name={name}][value='{value}']").check()
    page.get_by_label("When", exact=True).select_option("custom")
    page.locator("#start").fill("2012-02-09")
    page.locator("#end").fill("2012-04-02")
    page.get_by_role("button", name="Preview", exact=True).click()


def picture(page: Page, name: str) -> None:
    """Takes a picture of what the window shows. The browser draws it once it has loaded everything."""
    page.wait_for_load_state("networkidle")
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    print(f"{path.relative_to(PROJECT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
