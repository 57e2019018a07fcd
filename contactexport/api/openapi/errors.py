"""The errors of the OpenAPI document: one component per kind, with the texts that a client may get."""

from collections.abc import Mapping
from typing import Any

from contactexport.api.openapi.parts import JSON
from contactexport.api.response_schemas import ErrorReply
from contactexport.errors import ALREADY_RUNNING, NO_LONGER_KEPT, REMOVALS_UNKNOWN
from contactexport.exports import download

# The errors of the specification and ours, one example per row. 4001 is the last one.
INVALID_EXPORT = (
    (10001, "Missing parameter: origin_id"),
    (10001, "Invalid data format for contact_fields. Array expected"),
    (10001, "Invalid data format for time_range. Array size must be 2"),
    (10001, "Invalid origin: import"),
    (10001, "Invalid data format for origin_id. Integer expected"),
    (10001, "Invalid distribution method: mail"),
    (10001, "Invalid value for delimiter: |"),
    (10001, NO_LONGER_KEPT.format(since="2012-03-01T00:00:00+00:00")),
    (10001, REMOVALS_UNKNOWN.format(since="2012-03-01T00:00:00+00:00")),
    (10001, "Invalid contact field id: 999999, x7"),
    (10001, "Invalid number of fields"),
    (10001, "Valid start_date and end_date is required"),
    (10001, "Invalid value for end_date: end_date is earlier than the start_date"),
    (10001, "Invalid JSON in the request body"),
    (4001, ALREADY_RUNNING),
)
DATA_NOT_FOUND = tuple(
    (reply_code, text) for _, reply_code, text in (download.NOT_LOCAL, download.IN_PROGRESS, download.FILE_NOT_FOUND)
)
EXPORT_ID = {
    "X-Export-Id": {
        "description": "with reply code 4001: the id of the export that is running",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}
UNAVAILABLE = "The service is not available now. Please try again later."


def responses() -> dict[str, dict[str, Any]]:
    """Returns components by name."""
    return {
        "InvalidExport": _error(
            "A value is missing or wrong, or the same export is already running", *INVALID_EXPORT, optional=EXPORT_ID
        ),
        "InvalidRequest": _error("A value is wrong", (10001, "Invalid export ID")),
        "Unauthorized": _error("No valid credentials", (1, "Unauthorized"), header="WWW-Authenticate"),
        "NotFound": _error("No such path", (1, "Not found")),
        "DataNotFound": _error("There is no file to download", *DATA_NOT_FOUND, (1, "Not found")),
        "DataGone": _error("The file was deleted or never existed", download.NOT_AVAILABLE[1:]),
        "MethodNotAllowed": _error("The path has other methods", (1, "Method not allowed"), header="Allow"),
        "RequestTimeout": _error("The request came too slowly", (1, "Request Timeout")),
        "PreconditionFailed": _error("`If-Match` names another file", (1, "Precondition failed")),
        "TooLarge": _error("The body has more than 64 KiB", (1, "Request entity too large")),
        "UnsupportedMediaType": _error("Another type than JSON is declared", (1, "Unsupported media type")),
        "RangeNotSatisfiable": _error("The file has no such bytes", (1, "Requested range not satisfiable")),
        "TooManyRequests": _error(
            "A limit of this user is reached", (1, "More than 1000 requests in a minute"), header="Retry-After"
        ),
        "InternalError": _error("A fault of the service", (1, "Internal error")),
        "Unavailable": _error("A part of the service does not answer", (1, UNAVAILABLE), header="Retry-After"),
    }


def _error(
    meaning: str,
    *examples: tuple[int, str],
    header: str | None = None,
    optional: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    shown = {
        f"example_{number}": {"value": {"replyCode": reply_code, "replyText": text, "data": ""}}
        for number, (reply_code, text) in enumerate(examples, 1)
    }
    required = {header: {"required": True, "schema": {"type": "string"}}} if header else {}
    headers = {**required, **(optional or {})}
    return {"description": meaning, "headers": headers, "content": {JSON: {"schema": ErrorReply, "examples": shown}}}
