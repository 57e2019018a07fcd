"""What every page says to browsers, and how much it sends."""

import gzip
import re

import pytest

from contactexport.console import shown
from tests.support.console_pages import Browser, signed_in
from tests.support.exporting import contact_changed, request, run, settings_for

PAGES = ("/console/", "/console/exports", "/console/new-export", "/console/feeds", "/console/users", "/console/system")
MOST_BYTES = 150_000
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.fixture
def browser(app, context):
    contact_changed(context, first_name="Anna")
    run(context, request(context, settings_for()))
    return signed_in(app, context, operator=True)


def pages(browser) -> dict[str, str]:
    export = re.search(r"/console/exports/\d+", browser.get("/console/exports").text)[0]
    return {path: browser.get(path).text for path in (*PAGES, export, "/console/nothing")}


def test_pages_forbid_foreign_content_frames_and_referrers(app, browser):
    for path in (*PAGES, "/console/nothing", "/console/sign-in"):
        headers = (Browser(app) if path.endswith("sign-in") else browser).get(path).headers
        policy = dict(one.strip().partition(" ")[::2] for one in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_pages_have_no_inline_script_or_style(browser):
    assert {path: INLINE.findall(text) for path, text in pages(browser).items() if INLINE.search(text)} == {}


def test_pages_name_no_other_host(browser):
    foreign = re.compile(r'(?:src|href|action)="(?:https?:)?//[^"]*"')
    assert {path: foreign.findall(text) for path, text in pages(browser).items() if foreign.search(text)} == {}


@pytest.mark.parametrize("path", ["/console/", "/console/exports"])
def test_first_view_is_small(browser, path):
    text = browser.get(path).text
    assets = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', text)
    assert len(assets) >= 4
    size = len(text.encode()) + sum(len(browser.get(one.replace("&amp;", "&")).data) for one in assets)
    assert size <= MOST_BYTES


def test_assets_are_compressed_and_pages_are_not(browser):
    plain = browser.get("/console/static/htmx.min.js")
    packed = browser.get("/console/static/htmx.min.js", headers={"Accept-Encoding": "gzip, br"})
    assert gzip.decompress(packed.data) == plain.data
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert len(packed.data) == int(packed.headers["Content-Length"]) < len(plain.data) / 2
    assert "Content-Encoding" not in browser.get("/console/", headers={"Accept-Encoding": "gzip"}).headers


def test_assets_may_be_cached_for_good_under_their_hash(browser):
    with browser.client.application.test_request_context():
        url = shown.asset("console.css")
    answer = browser.get(url)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "max-age=31536000" not in browser.get(url.partition("?")[0]).headers["Cache-Control"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.04, "0.0 s"), (12, "12 s"), (200, "3 min 20 s"), (18_600, "5 h 10 min"), (183_600, "2 d 3 h")],
)
def test_durations_are_short(seconds, text):
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB")]
)
def test_sizes_are_short(size, text):
    assert shown.file_size(size) == text
