"""A page in a real browser, and what the browser reports about it: requests, bytes, errors, broken rules of WCAG."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

AXE = Path(__file__).parents[1] / "browser" / "axe" / "axe.min.js"
WCAG_2_2_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Console messages about what the test itself asked for, such as an answer 400.
OF_ANSWERS = "Failed to load resource: the server responded with a status of"
WIDE, NARROW = 1440, 360


def chromium() -> str | None:
    """The path of Chromium: that of the variable CHROMIUM, or the one on the path. None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium without a window. The sandbox is off, because containers lack what it needs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open. `hosts` are those that it has called, `problems` what the browser complained about."""

    page: Page
    url: str
    hosts: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    transferred: int = 0

    def __post_init__(self) -> None:
        self.page.set_default_timeout(20_000)
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._take_message)
        network = self.page.context.new_cdp_session(self.page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", self._take_bytes)
        # Also those that the console does not show, such as a report of an element that was removed again.
        self.page.expose_binding("reportedViolation", lambda _, text: self.problems.append(f"policy: {text}"))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => "
            "reportedViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"
        )

    def open(self, path: str) -> Page:
        """Opens a path of the service and waits until it is loaded. Counts its bytes anew."""
        self.transferred = 0
        answer = self.page.goto(self.url + path, wait_until="load")
        assert answer is not None
        assert answer.status < 400, f"{path}: {answer.status}"
        self.page.wait_for_load_state("networkidle")
        return self.page

    def violations(self) -> list[str]:
        """The broken rules of WCAG 2.2 AA with the elements that break them. Empty if the page is accessible."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        result: dict[str, Any] = self.page.evaluate("(tags) => axe.run({runOnly: tags})", WCAG_2_2_AA)
        return [
            f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]

    def sideways(self) -> int:
        """How many pixels the page is wider than its window."""
        wider: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wider

    def _take_message(self, message: Any) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(OF_ANSWERS):
            self.problems.append(f"{message.type}: {message.text}")

    def _take_bytes(self, event: dict[str, Any]) -> None:
        self.transferred += int(event["encodedDataLength"])
