"""A running service with sample contacts, and Chromium. Without Chromium these tests are skipped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page

from contactexport.context import Context
from contactexport.embedded import postgres
from contactexport.users import manage
from contactexport.users.store import Rights
from tests.support import served
from tests.support.browsing import WIDE, Visit, chromium, running_browser
from tests.support.contexts import make_context

CONTACTS = 20_000


def pytest_collection_modifyitems(items):
    """Marks the tests of this folder."""
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.slow)
            if chromium() is None:
                item.add_marker(pytest.mark.skip("no Chromium on the path, and CHROMIUM names none"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[served.Served]:
    """gunicorn, workers and the embedded Postgres."""
    with served.running(tmp_path_factory.mktemp("served"), CONTACTS) as running:
        yield running


@pytest.fixture
def visit(browser, service) -> Iterator[Callable[..., Visit]]:
    """Opens windows. At the end of the test the browser must have no complaint, and must have called no other host."""
    visits = []

    def opened(width: int = WIDE, scheme: str = "light", **options) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        visits.append(Visit(context.new_page(), service.url))
        return visits[-1]

    yield opened
    for one in visits:
        one.page.context.close()
    assert [problem for one in visits for problem in one.problems] == []
    assert {host for one in visits for host in one.hosts} <= {service.url.removeprefix("http://")}


@dataclass
class Console:
    """A service with exports and a feed, and the token of an operator."""

    service: served.Served
    context: Context
    token: str
    done: int
    failed: int
    cookies: list[Any] = field(default_factory=list)

    def sign_in(self, visit: Visit) -> Page:
        """Signs in, at the first call only: ten sign-ins a minute are allowed. Returns the page with the overview."""
        context = visit.page.context
        context.add_cookies(self.cookies)
        page = visit.open("/console/")
        if not self.cookies:
            page.get_by_label("Name").fill("olga")
            page.get_by_label("Token").fill(self.token)
            page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", level=1, name="Overview").wait_for()
        self.cookies = self.cookies or context.cookies()
        return page


@pytest.fixture(scope="module")
def console(service) -> Iterator[Console]:
    """Exports that are done and in error, a feed with two files, and one that is paused."""
    context = make_context(postgres.start(service.data_dir), service.data_dir)
    added = manage.add_user(context, "olga", with_wsse=False, with_token=True, rights=Rights(operator=True))
    manage.add_user(context, "vera", with_wsse=False, with_token=True, rights=Rights(viewer=True))
    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {service.token}"

    def called(method: str, path: str, **body: Any) -> Any:
        answer = api.request(method, f"{service.url}/api/v2/{path}", json=body or None, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    done, failed = service.accepted(), service.accepted(origin="all", notification_url=f"{service.url}/healthz?key=x")
    service.finished(done)
    service.finished(failed)
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(
            "UPDATE export SET status = 'error', error = '550 <b>No such folder</b>' WHERE id = %s", [failed]
        )
    of_both = {"distribution_method": "local", "origin": "form", "origin_id": 123, "contact_fields": [1, 3]}
    for name, schedule in (("nightly", "0 2 * * *"), ("weekly", "0 3 * * 1")):
        called("POST", "feed", name=name, schedule=schedule, **of_both)
    for _ in range(2):
        service.finished(int(called("POST", "feed/nightly/run")["id"]))
    called("PATCH", "feed/weekly", paused=1)
    yield Console(service, context, str(added.token), done, failed)
    context.database.close()
