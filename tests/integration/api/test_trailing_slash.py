"""Every path answers the same with and without one trailing slash."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

VALUES = {
    "export_id": "1",
    "field_id": "5",
    "language": "de",
    "parameters": "offset=0&limit=10",
    "filename": "docs.css",
    "name": "nightly",
    "_path": "nowhere",
    "link": "used",
}


def paths(app: Flask) -> set[tuple[str, str]]:
    """Returns every route with every method, including future ones."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda name: VALUES[name[1]], rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def answer(api: FlaskClient, method: str, path: str) -> tuple[int, object]:
    response = api.open(path, method=method, json={} if method == "POST" else None, buffered=True)
    return response.status_code, response.get_json(silent=True) or response.data


def test_trailing_slash_makes_no_difference_on_any_route(app: Flask, api: FlaskClient):
    tried = paths(app)
    assert ("POST", "/api/v2/contact/getchanges") in tried
    for method, path in tried:
        if path == "/":
            continue
        assert answer(api, method, path + "/") == answer(api, method, path), (method, path)


@pytest.mark.parametrize("path", ["/api/v2/field//", "/api/v2//field", "/api/v2/field/x/"])
def test_several_trailing_slashes_are_another_path(api: FlaskClient, path: str):
    assert api.get("/", environ_overrides={"PATH_INFO": path}).status_code == 404


def test_trailing_slash_keeps_405(api: FlaskClient):
    assert api.put("/api/v2/field/").status_code == 405


def test_slash_before_query_is_ignored(api: FlaskClient):
    assert api.get("/api/v2/export/?status=done").json == api.get("/api/v2/export?status=done").json


def test_description_of_the_api_is_open_with_a_slash_too(app: Flask):
    assert app.test_client().get("/api/v2/openapi.json/").status_code == 200


def test_audit_log_has_the_path_without_the_slash(api: FlaskClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "contactexport.audit")
    api.get("/api/v2/export/")
    assert '"path": "/api/v2/export"' in caplog.text
