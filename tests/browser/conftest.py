"""A running service with sample contacts, and Chromium. Without Chromium these tests are skipped."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import served
from tests.support.browsing import WIDE, Visit, chromium, running_browser

CONTACTS = 3000


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
