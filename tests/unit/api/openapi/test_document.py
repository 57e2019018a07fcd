"""The OpenAPI document is valid and complete, and agrees with the schemas of the requests."""

import json
import re
from pathlib import Path

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from contactexport import api
from contactexport.api.openapi.document import document
from contactexport.api.request_fields import FtpSettingsSchema, Line
from contactexport.api.schemas import GetChangesSchema

ROOT = Path(__file__).parents[3]
CASES = json.loads((ROOT / "data" / "error_cases.json").read_text())
EVERY_STATUS = {"400", "401", "404", "405", "408", "413", "415", "429", "500", "503"}
# The document lists language codes in lower case and knows one kind of ftp_settings.
STRICTER = {"language in upper case", "ftp_settings are ignored for local"}
# Pages for people, and figures for Prometheus. HEAD comes with every GET (RFC 9110, 9.3.2).
NOT_DESCRIBED = {"/", "/docs", "/docs/assets/<path:filename>", "/metrics"}


@pytest.fixture(scope="module")
def routes():
    app = Flask("contactexport", static_folder=None)
    api.init_app(app)
    return app.url_map


@pytest.fixture(scope="module")
def get_changes():
    """Checks a request body like a tool that knows only the document."""
    schemas = {"$ref": "#/components/schemas/GetChanges", "components": document()["components"]}
    return Draft202012Validator(schemas)


def operations():
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_document_is_valid_openapi_3_1():
    assert document()["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document()).validate()


def test_document_describes_every_route_and_no_other(routes):
    existing = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.replace("/api/v3/", "/api/v2/")))
        for rule in routes.iter_rules()
        if rule.rule not in NOT_DESCRIBED
        for method in rule.methods - {"HEAD"}
    }
    assert {(method, path) for method, path, _ in operations()} == existing


def test_path_parameters_are_those_of_path():
    for _, path, operation in operations():
        described = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path)), path


def test_operation_ids_are_unique():
    names = [operation["operationId"] for *_, operation in operations()]
    assert len(set(names)) == len(names)


def test_getchanges_lists_every_error_status():
    assert set(document()["paths"]["/api/v2/contact/getchanges"]["post"]["responses"]) == EVERY_STATUS | {"200"}


def test_both_reply_codes_are_shown_for_400():
    examples = document()["components"]["responses"]["InvalidExport"]["content"]["application/json"]["examples"]
    assert {example["value"]["replyCode"] for example in examples.values()} == {10001, 4001}


def test_calls_need_credentials_except_open_ones():
    assert document()["security"] == [{"wsse": []}, {"bearer": []}, {"oauth2": []}]
    schemes = document()["components"]["securitySchemes"]
    assert (schemes["wsse"]["type"], schemes["wsse"]["in"], schemes["wsse"]["name"]) == ("apiKey", "header", "X-WSSE")
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    free = {path for _, path, operation in operations() if operation.get("security") == []}
    assert free == {"/healthz", "/readyz", "/api/v2/openapi.json"}


@pytest.mark.parametrize("schema, name", [(GetChangesSchema, "GetChanges"), (FtpSettingsSchema, "FtpSettings")])
def test_every_parameter_is_described_in_order_of_schema(schema, name):
    described = document()["components"]["schemas"][name]["properties"]
    assert list(described) == list(schema._declared_fields)
    assert all("description" in value or "example" in value for value in described.values())


def test_request_example_is_that_of_specification(get_changes):
    content = document()["paths"]["/api/v2/contact/getchanges"]["post"]["requestBody"]["content"]["application/json"]
    assert content["example"]["ftp_settings"]["folder"] == "path/of/a/folder"
    assert content["example"]["time_range"] == ["2012-02-09", "2012-04-02"]
    get_changes.validate(content["example"])


@pytest.mark.parametrize(
    "case", [case for case in CASES["accepted"] if case["name"] not in STRICTER], ids=lambda case: case["name"]
)
def test_accepted_requests_fit_document(get_changes, case):
    body = {key: value for key, value in CASES["base"].items() if key not in case.get("remove", ())}
    get_changes.validate(body | case.get("set", {}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"distribution_method": "mail"},
        {"time_range": ["2012-02-09"]},
        {"time_range": "2012-02-09"},
        {"origin": "import"},
        {"origin_id": "abc"},
        {"origin_id": []},
        {"origin_id": 12.5},
        {"contact_fields": []},
        {"contact_fields": "1,3"},
        {"delimiter": "|"},
        {"add_field_names_header": 2},
        {"language": "xx"},
        {"ftp_settings": "ftp.example.com"},
        {"ftp_settings": {"host": "a\r\nDELE b", "username": "u", "password": "p"}},
        {"ftp_settings": {"host": "", "username": "u", "password": "p"}},
        {"ftp_settings": {"host": "h", "username": "u", "password": "p", "port": 70000}},
        {"ftp_settings": {"host": "h", "username": "u"}},
        {"notification_url": "ftp://www.example.com"},
    ],
    ids=str,
)
def test_refused_requests_do_not_fit_document(get_changes, wrong):
    assert get_changes.is_valid(CASES["base"])
    assert not get_changes.is_valid(CASES["base"] | wrong)


@pytest.mark.parametrize("name", GetChangesSchema._declared_fields)
def test_optional_parameters_are_not_required(get_changes, name):
    required = {"distribution_method", "time_range", "origin", "contact_fields"}
    body = {key: value for key, value in CASES["base"].items() if key != name}
    assert get_changes.is_valid(body) == (name not in required)


def test_password_has_password_format():
    assert isinstance(FtpSettingsSchema._declared_fields["password"], Line)
    assert document()["components"]["schemas"]["FtpSettings"]["properties"]["password"]["format"] == "password"
