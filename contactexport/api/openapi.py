"""The OpenAPI 3.1 document of the API, generated from the marshmallow schemas of its requests and answers."""

from datetime import UTC
from functools import cache
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from contactexport.api import openapi_fields, openapi_paths
from contactexport.api.reply_schemas import Envelope, ErrorReply
from contactexport.api.schemas import GetChangesSchema
from contactexport.errors import ALREADY_RUNNING
from contactexport.models import Catalogue
from contactexport.network_guard import NetworkGuard

DESCRIPTION = """\
Exports the contacts that changed in a time range as CSV files.

Every answer is the same envelope: `replyCode` (0 when all went well), `replyText` (`OK`, or what is wrong) and `data` \
(empty in an error).

Every call under `/api` needs credentials: a WSSE header or a bearer token. Dates without an offset are in the \
service's time zone. Numbers may be sent as numbers or as strings of digits.
"""
WSSE = """\
`UsernameToken Username="…", PasswordDigest="…", Nonce="…", Created="…"`: the digest is base64 of the hexadecimal \
SHA-1 of nonce + created + secret, `Created` is the time now in ISO 8601. Every nonce is accepted once. The header may \
also be named `WSSE`.
"""
SECURITY = {
    "wsse": {"type": "apiKey", "in": "header", "name": "X-WSSE", "description": WSSE},
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`"},
}
# What the specification lists, one example a row.
INVALID = (
    "Missing parameter: origin_id",
    "Invalid data format for contact_fields. Array expected",
    "Invalid data format for time_range. Array size must be 2",
    "Invalid origin: import",
    "Invalid data format for origin_id. Integer expected",
    "Invalid distribution method: mail",
    "Invalid value for delimiter: |",
    "Invalid contact field id: 999999, x7",
    "Invalid number of fields",
    "Valid start_date and end_date is required",
    "Invalid value for end_date: end_date is earlier than the start_date",
    "Invalid JSON in the request body",
)
# Component name: status, meaning, headers that come with it, reply code and text of an example.
ERRORS: dict[str, tuple[str, tuple[str, ...], int, str]] = {
    "InvalidRequest": ("A value is wrong", (), 10001, "Invalid export ID"),
    "Unauthorized": ("No valid credentials", ("WWW-Authenticate",), 1, "Unauthorized"),
    "NotFound": ("No such path", (), 1, "Not found"),
    "MethodNotAllowed": ("The path has other methods", ("Allow",), 1, "Method not allowed"),
    "TooLarge": ("The body has more than 64 KiB", (), 1, "Request entity too large"),
    "UnsupportedMediaType": ("The body is declared to be something else than JSON", (), 1, "Unsupported media type"),
    "TooManyRequests": ("A limit of this user is reached", ("Retry-After",), 1, "More than 1000 requests in a minute"),
    "InternalError": ("Our fault", (), 1, "Internal error"),
    "Unavailable": (
        "A part of the service does not answer: try again later",
        (),
        1,
        "The service is not available now. Please try again later.",
    ),
}


@cache
def document() -> dict[str, Any]:
    """The document; the same for everybody, made once."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        title="contactexport",
        version=version("contactexport"),
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": DESCRIPTION},
        servers=[{"url": "/"}],
        security=[{name: []} for name in SECURITY],
        tags=[{"name": name} for name in ("Exports", "Catalogue", "Service")],
    )
    plugin.converter.add_attribute_function(openapi_fields.json_schema)  # type: ignore[union-attr] # set by APISpec
    _add_components(spec)
    for path, operations in openapi_paths.paths(_get_changes_schema()).items():
        spec.path(path, operations=operations)
    made: dict[str, Any] = spec.to_dict()
    return made


def _get_changes_schema() -> GetChangesSchema:
    """What it is given counts only when a request is loaded."""
    return GetChangesSchema(Catalogue((), {}), UTC, "en", NetworkGuard(()))


def _add_components(spec: APISpec) -> None:
    for name, scheme in SECURITY.items():
        spec.components.security_scheme(name, scheme)
    spec.components.schema("Envelope", schema=Envelope)
    for name, (meaning, headers, reply_code, text) in ERRORS.items():
        response = _error(meaning, {"default": (reply_code, text)})
        response["headers"] = {header: {"required": True, "schema": {"type": "string"}} for header in headers}
        spec.components.response(name, response)
    refused = {f"10001_{number}": (10001, text) for number, text in enumerate(INVALID, 1)}
    refused["4001"] = (4001, ALREADY_RUNNING)
    spec.components.response("InvalidExport", _error("A value is missing or wrong, or the same runs already", refused))


def _error(meaning: str, examples: dict[str, tuple[int, str]]) -> dict[str, Any]:
    shown = {
        name: {"value": {"replyCode": code, "replyText": text, "data": ""}} for name, (code, text) in examples.items()
    }
    return {
        "description": meaning,
        "content": {openapi_paths.JSON: {"schema": ErrorReply, "examples": shown}},
    }
