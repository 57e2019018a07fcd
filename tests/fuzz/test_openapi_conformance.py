"""schemathesis: the running server keeps what the OpenAPI document promises, for valid and invalid requests."""

import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from contactexport.api.openapi.document import document
from tests.fuzz import envelope
from tests.fuzz.fuzz_cases import count, fuzz

# Without positive_data_acceptance and negative_data_rejection: the document does not know which ids exist, and which
# parameters another one makes irrelevant. Without ignored_auth: a request with a broken header of one scheme and a
# valid one of another may be accepted.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
    unsupported_method,
]

# The cases for one feed are for this one.
FEED = {
    "name": "fuzzed",
    "distribution_method": "local",
    "origin": "form",
    "origin_id": 123,
    "contact_fields": [1],
}

schema = schemathesis.openapi.from_dict(document())
getchanges = schema.include(operation_id="getchanges")
others = schema.exclude(operation_id="getchanges")


def try_case(case, server):
    count()
    if case.path.startswith("/api/v2/feed/{name}") and case.method != "DELETE":
        case.path_parameters = {"name": FEED["name"]}
        case.query = {}
    response = case.call(base_url=server.url, headers={"Authorization": f"Bearer {server.token}"})
    case.validate_response(response, checks=CHECKS)
    answered_by_oauth = case.path.startswith("/oauth2") and response.status_code != 405
    if not answered_by_oauth and (case.path not in envelope.WITHOUT_ENVELOPE or response.status_code != 200):
        envelope.check(
            case.method.upper(), response.status_code, response.headers.get("content-type", [None])[0], response.content
        )


@pytest.fixture(scope="module", autouse=True)
def feed(server):
    headers = {"Authorization": f"Bearer {server.token}"}
    assert requests.post(f"{server.url}/api/v2/feed", json=FEED, headers=headers, timeout=30).status_code == 200


@getchanges.parametrize()
@fuzz(0.15)
def test_getchanges_keeps_what_the_document_promises(case, server):
    try_case(case, server)


@others.parametrize()
@fuzz(0.01)
def test_every_other_operation_keeps_what_the_document_promises(case, server):
    try_case(case, server)


def test_server_serves_this_document(server):
    served = schemathesis.openapi.from_url(f"{server.url}/api/v2/openapi.json")
    assert served.raw_schema == document()
