"""The console in a real browser: every page accessible and small, in light and dark, on a phone and on a desk."""

import pytest

from tests.support.browsing import NARROW, WIDE

FIRST_VIEW_BYTES = 150_000
PAGES = {
    "overview": "/console/",
    "exports": "/console/exports",
    "filtered exports": "/console/exports?status=done&q=nothing-like-this",
    "an export": "/console/exports/{done}",
    "an export in error": "/console/exports/{failed}",
    "new export": "/console/new-export",
    "feeds": "/console/feeds",
    "a feed": "/console/feeds/nightly",
    "users": "/console/users",
    "a user": "/console/users/user?name=vera",
    "system": "/console/system",
}


@pytest.mark.parametrize("width, scheme", [(width, scheme) for width in (NARROW, WIDE) for scheme in ("light", "dark")])
def test_every_page_is_accessible_and_fits_the_window(visit, console, width, scheme):
    opened = visit(width, scheme)
    opened.open("/console/sign-in")
    found = {"sign-in": (opened.violations(), opened.sideways())}
    console.sign_in(opened)
    for name, path in PAGES.items():
        opened.open(path.format(done=console.done, failed=console.failed))
        found[name] = (opened.violations(), opened.sideways())
    assert found == dict.fromkeys(found, ([], 0))


def test_first_view_of_every_page_is_small(visit, console):
    sizes = {}
    opened = visit()
    console.sign_in(opened)
    browser = opened.page.context.new_cdp_session(opened.page)
    for name, path in PAGES.items():
        browser.send("Network.clearBrowserCache")
        opened.open(path.format(done=console.done, failed=console.failed))
        sizes[name] = opened.transferred
    assert all(2_000 < size <= FIRST_VIEW_BYTES for size in sizes.values()), sizes


def test_preview_is_accessible(visit, console):
    opened = visit(NARROW)
    page = console.sign_in(opened)
    opened.open("/console/new-export")
    page.get_by_role("button", name="Preview", exact=True).click()
    page.wait_for_load_state("networkidle")
    assert opened.violations() == []
    assert opened.sideways() == 0
