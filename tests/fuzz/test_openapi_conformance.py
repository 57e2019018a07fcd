"""schemathesis: what the OpenAPI document promises holds of the running server, for valid and invalid requests."""

import envelope
import schemathesis
from fuzz_cases import count, fuzz
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from contactexport.api.openapi import document

# Not among them: positive_data_acceptance and negative_data_rejection, because the document does not know which ids
# exist and what another parameter makes irrelevant; ignored_auth, because a broken header of one scheme beside a valid
# one of the other may well be let in.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
    unsupported_method,
]

schema = schemathesis.openapi.from_dict(document())
getchanges = schema.include(operation_id="getchanges")
others = schema.exclude(operation_id="getchanges")


def try_case(case, server):
    count()
    response = case.call(base_url=server.url, headers={"Authorization": f"Bearer {server.token}"})
    case.validate_response(response, checks=CHECKS)
    answered_by_oauth = case.path.startswith("/oauth2") and response.status_code != 405
    if not answered_by_oauth and (case.path not in envelope.WITHOUT_ENVELOPE or response.status_code != 200):
        envelope.check(
            case.method.upper(), response.status_code, response.headers.get("content-type", [None])[0], response.content
        )


@getchanges.parametrize()
@fuzz(0.15)
def test_getchanges_keeps_what_the_document_promises(case, server):
    try_case(case, server)


@others.parametrize()
@fuzz(0.01)
def test_every_other_operation_does_too(case, server):
    try_case(case, server)


def test_the_server_serves_this_document(server):
    served = schemathesis.openapi.from_url(f"{server.url}/api/v2/openapi.json")
    assert served.raw_schema == document()
