"""The operations of OAuth clients, for the OpenAPI document. Their answers follow RFC 6749, without the envelope."""

from typing import Any

from contactexport.api import response_schemas
from contactexport.api.openapi.parts import JSON, errors, json_reply
from contactexport.api.request_form import FORM

CLIENT = {"type": "http", "scheme": "basic", "description": "Client id and secret of an OAuth 2.0 client"}
CREDENTIALS = {
    "client_id": {"type": "string", "description": "unless sent by HTTP Basic"},
    "client_secret": {"type": "string", "format": "password", "description": "unless sent by HTTP Basic"},
}
MEANINGS = {
    400: "`invalid_request`, `unsupported_grant_type` or `invalid_scope`",
    401: "`invalid_client`: no or wrong client credentials",
    408: "`invalid_request`: the request came too slowly",
    413: "`invalid_request`: the body has more than 64 KiB",
    415: "`invalid_request`: the body has another coding than gzip",
    429: "`temporarily_unavailable`: the rate limit of this user is reached",
    500: "`server_error`: a fault of the service",
    503: "`temporarily_unavailable`: a part of the service does not answer",
}
HEADERS = {401: "WWW-Authenticate", 429: "Retry-After"}


def paths() -> dict[str, dict[str, Any]]:
    """Returns operations by path and method."""
    grant = {
        "grant_type": {"type": "string", "enum": ["client_credentials"], "example": "client_credentials"},
        "scope": {"type": "string", "maxLength": 0, "description": "there are no scopes: leave it out or empty"},
    }
    ended = {"token": {"type": "string", "example": "cxo_2YotnFZFEjr1zCsicMWpAA"}}
    issued, nothing = json_reply(response_schemas.AccessToken), {"description": "OK", "content": {JSON: {"schema": {}}}}
    return {
        "/oauth2/token": {
            "post": _operation(
                "token",
                "Get an access token",
                "The client credentials grant of RFC 6749, 4.4. Client id and secret are sent by HTTP Basic or in the "
                "form, not in both. The token is valid for `expires_in` seconds and counts as the client's user.",
                grant,
                issued,
            )
        },
        "/oauth2/revoke": {
            "post": _operation(
                "revoke",
                "End an access token",
                "RFC 7009. The token is refused from the next request on. A token that the client does not have "
                "answers 200 as well.",
                ended,
                nothing,
            )
        },
    }


def _operation(
    operation_id: str, summary: str, description: str, parameters: dict[str, Any], reply: dict[str, Any]
) -> dict[str, Any]:
    first = next(iter(parameters))
    schema = {"type": "object", "properties": parameters | CREDENTIALS, "required": [first]}
    example = {first: parameters[first]["example"]}
    listed = ". ".join(f"{status} {meaning}" for status, meaning in MEANINGS.items())
    refusals = {
        str(status): {
            "description": meaning,
            "headers": {HEADERS[status]: {"required": True, "schema": {"type": "string"}}} if status in HEADERS else {},
            "content": {JSON: {"schema": response_schemas.OauthError}},
        }
        for status, meaning in MEANINGS.items()
    }
    return {
        "operationId": operation_id,
        "tags": ["OAuth"],
        "summary": summary,
        "description": f"{description}\n\nErrors are `error` and `error_description` as in RFC 6749, 5.2. {listed}.",
        "requestBody": {"required": True, "content": {FORM: {"schema": schema, "example": example}}},
        "responses": {"200": reply} | refusals | errors(405),
        "security": [{"client": []}, {}],
    }
