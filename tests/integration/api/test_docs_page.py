"""/docs and /api/v2/openapi.json are open to everybody, complete, and load nothing from other hosts."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import contactexport
from contactexport.api.openapi.document import document

DOCUMENT = "/api/v2/openapi.json"


class Links(HTMLParser):
    """Collects the links, ids and elements of a page."""

    def __init__(self):
        super().__init__()
        self.addresses, self.ids, self.elements, self.attributes = [], [], set(), set()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in {"href", "src", "action", "srcset"}]
        self.ids += [value for name, value in attrs if name == "id"]


@pytest.fixture
def page(client):
    return client.get("/docs").text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_root_redirects_to_page(client, method):
    answer = client.open("/", method=method)
    assert (answer.status_code, answer.headers["Location"], answer.text) == (302, "/docs", "")
    assert client.get("/", follow_redirects=True).mimetype == "text/html"
    assert client.post("/").json == {"replyCode": 1, "replyText": "Method not allowed", "data": ""}


@pytest.fixture
def links(page):
    parsed = Links()
    parsed.feed(page)
    return parsed


def test_document_is_open_to_everybody_and_not_in_envelope(client):
    answer = client.get(DOCUMENT)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json == document()


def test_only_document_is_open(client):
    for path in (f"{DOCUMENT}//", f"{DOCUMENT}x", "/api/v2/openapi", "/api/v2", "/api/v2/OPENAPI.json"):
        assert client.get("/", environ_overrides={"PATH_INFO": path}).status_code == 401, path


def test_wrong_method_on_document_is_405(client):
    answer = client.post(DOCUMENT, json={})
    assert (answer.status_code, answer.json["replyText"]) == (405, "Method not allowed")


def test_page_is_html_for_everybody(client):
    answer = client.get("/docs")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")


def test_page_shows_every_operation_and_parameter(page):
    text = unescape(page)
    for methods in document()["paths"].values():
        for operation in methods.values():
            assert operation["summary"] in text
    for name in document()["components"]["schemas"]["GetChanges"]["properties"]:
        assert f"<code>{name}</code>" in text
    for name in document()["components"]["schemas"]["FtpSettings"]["properties"]:
        assert f"<code>ftp_settings.{name}</code>" in text
    for response in document()["components"]["responses"].values():
        for example in response["content"]["application/json"]["examples"].values():
            assert example["value"]["replyText"] in text


def test_page_lists_each_way_to_call_once(page):
    ways = re.findall(r'<span class="method \w+">(\w+)</span> <code>(.+?)</code>', page)
    assert sorted(ways) == sorted(
        (method.upper(), path) for path, methods in document()["paths"].items() for method in methods
    )
    # A part of the answer in another language is not an entry of its own in the contents.
    contents = re.search("<nav.*</nav>", page, re.DOTALL)[0]
    assert contents.count("Contact fields") == 1


def test_values_that_many_answers_share_are_listed_once(page):
    for name in ("rows_expected", "may_be_incomplete", "last_manifest_sha256", "errors[].errorMsg"):
        assert page.count(f"<dt><code>{name}</code>") == 1, name


def test_page_loads_nothing_from_other_hosts(links):
    assert links.addresses
    for address in links.addresses:
        assert address.startswith(("/docs/assets/", "/console/", "#", DOCUMENT)), address


def test_page_has_no_inline_script_and_no_inline_style(page, links):
    assert re.findall("<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    assert not links.elements & {"style", "iframe", "img"}
    assert not [name for name in links.attributes if name == "style" or name.startswith("on")]


def test_links_within_page_have_targets(links):
    assert len(links.ids) == len(set(links.ids))
    assert {address[1:] for address in links.addresses if address.startswith("#")} <= set(links.ids)


def test_content_security_policy_is_strict(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]
    sources = dict(part.split(" ", 1) for part in policy.split("; "))
    assert {sources.pop(name) for name in ("default-src", "base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    # The script cannot turn an answer into markup, whatever is in it.
    assert (sources.pop("require-trusted-types-for"), sources.pop("trusted-types")) == ("'script'", "'none'")
    assert set(sources) == {"style-src", "script-src", "img-src", "connect-src"}
    assert set(sources.values()) == {"'self'"}


@pytest.mark.parametrize("name, mimetype", [("docs.css", "text/css"), ("docs.js", "text/javascript")])
def test_assets_ship_with_package(client, name, mimetype):
    answer = client.get(f"/docs/assets/{name}", buffered=True)
    assert (answer.status_code, answer.mimetype) == (200, mimetype)
    assert (Path(contactexport.__file__).parent / "api" / "openapi" / "static" / name).read_bytes() == answer.data
    assert not re.search(rb"url\(|@import|https?://(?!www.w3.org/2000/svg)", answer.data)


def test_script_stores_nothing_and_makes_no_markup(client):
    script = client.get("/docs/assets/docs.js", buffered=True).text
    assert not re.search(
        r"Storage|document\.cookie|indexedDB|innerHTML|outerHTML|insertAdjacent|document\.write|eval|history", script
    )


@pytest.mark.parametrize("name", ["none.css", "../openapi.py", "..%2fopenapi.py", "%2e%2e/openapi.py", "/etc/passwd"])
def test_no_other_file_is_served(client, name):
    answer = client.get(f"/docs/assets/{name}")
    assert (answer.status_code, answer.json["replyText"]) == (404, "Not found")


def test_forged_host_is_escaped(client):
    answer = client.get("/docs", headers={"Host": "a<script>alert(1)</script>"})
    assert b"<script>" not in answer.data
