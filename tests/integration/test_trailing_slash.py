"""Every path answers with one slash at its end as it does without."""

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
}


def paths(app: Flask) -> set[tuple[str, str]]:
    """Every route with every method, those that come later included."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda name: VALUES[name[1]], rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def answer(api: FlaskClient, method: str, path: str) -> tuple[int, object]:
    response = api.open(path, method=method, json={} if method == "POST" else None, buffered=True)
    return response.status_code, response.get_json(silent=True) or response.data


def test_a_slash_at_the_end_makes_no_difference_on_any_route(app: Flask, api: FlaskClient):
    tried = paths(app)
    assert ("POST", "/api/v2/contact/getchanges") in tried
    for method, path in tried:
        if path == "/":
            continue
        assert answer(api, method, path + "/") == answer(api, method, path), (method, path)


@pytest.mark.parametrize("path", ["/api/v2/field//", "/api/v2//field", "/api/v2/field/x/"])
def test_more_than_one_slash_is_another_path(api: FlaskClient, path: str):
    assert api.get("/", environ_overrides={"PATH_INFO": path}).status_code == 404


def test_a_slash_at_the_end_of_a_path_with_other_methods_is_405(api: FlaskClient):
    assert api.put("/api/v2/field/").status_code == 405


def test_a_slash_before_the_query_is_none_of_it(api: FlaskClient):
    assert api.get("/api/v2/export/?status=done").json == api.get("/api/v2/export?status=done").json
