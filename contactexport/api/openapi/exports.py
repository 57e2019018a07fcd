"""The operations on exports, for the OpenAPI document."""

from typing import Any

from contactexport.api import manifest_schemas, response_schemas
from contactexport.api.openapi.parts import JSON, errors, json_reply, operation, parameter
from contactexport.api.schemas import GetChangesSchema
from contactexport.exports.models import ExportStatus

TAG = "Exports"
# The request example of the specification.
GET_CHANGES_EXAMPLE = {
    "distribution_method": "ftp",
    "origin": "form",
    "origin_id": "123",
    "time_range": ["2012-02-09", "2012-04-02"],
    "contact_fields": ["1", "3", "106533"],
    "delimiter": ";",
    "add_field_names_header": 1,
    "language": "en",
    "ftp_settings": {
        "host": "www.example.com",
        "port": "1234",
        "username": "user",
        "password": "pass",
        "folder": "path/of/a/folder",
    },
}
EXPORT_ID = parameter("path", "export_id", "the id that getchanges answered", "2140", pattern="^[0-9]{1,19}$")
OFFSET = parameter(
    "query", "offset", "contacts to skip. Every page begins with the header line", "0", pattern="^[0-9]{0,18}$"
)
LIMIT = parameter("query", "limit", "contacts, at most 10000000", "1000", pattern="^[0-9]{0,18}$")
PARAMETERS = parameter("path", "parameters", "offset and limit as in a query string", "offset=0&limit=1000")
KEYS = (
    "A JWK Set (RFC 7517, RFC 8037), oldest first: what `contactexport verify --key` reads. Each `kid` is the "
    "thumbprint of its key (RFC 7638)."
)
NEWEST = (
    parameter("query", "status", "only these", "error", enum=[str(status) for status in ExportStatus]),
    parameter("query", "limit", "at most this many, 1 to 1000, default 100", "10", pattern="^[0-9]{1,4}$"),
    parameter("query", "before", "only ids below this one, for the next page", "2140", pattern="^[0-9]{1,18}$"),
)


def paths(schema: GetChangesSchema) -> dict[str, dict[str, Any]]:
    """Returns operations by path and method. `schema` is that of a getchanges request."""
    one = "An unknown id answers 400, `Invalid export ID`."
    cancelled = "An unfinished export ends in `error` with the reason `cancelled`, a finished one loses its file."
    registrations = {
        "operationId": "getregistrations",
        "summary": "Export the contacts that were created",
        "description": (
            "As getchanges, for contacts that were created within the time range. `last update` is the time of the "
            "creation. A contact belongs to the form or API source that it has when the export runs."
        ),
    }
    exports, status = response_schemas.ExportsReply, response_schemas.StatusReply
    keys = manifest_schemas.ManifestKeysReply
    return {
        "/api/v2/contact/getchanges": {"post": _get_changes(schema)},
        "/api/v2/contact/getregistrations": {"post": _get_changes(schema) | registrations},
        "/api/v2/export": {"get": operation("exports", TAG, "The newest exports", "Newest first.", exports, *NEWEST)},
        "/api/v2/export/{export_id}": {
            "get": operation("status", TAG, "The status of an export", one, status, EXPORT_ID),
            "delete": operation("cancel", TAG, "Cancel an export", cancelled, status, EXPORT_ID),
        },
        "/api/v2/export/{export_id}/manifest": {"get": _manifest()},
        "/api/v2/manifest-keys": {"get": operation("manifest_keys", TAG, "The public keys", KEYS, keys)},
        "/api/v2/export/{export_id}/data": {"get": _data("data", EXPORT_ID, OFFSET, LIMIT)},
        "/api/v2/export/{export_id}/data/{parameters}": {"get": _data("data_by_path", EXPORT_ID, PARAMETERS)},
    }


def _get_changes(schema: GetChangesSchema) -> dict[str, Any]:
    accepted = json_reply(response_schemas.AcceptedExportReply)
    accepted["content"][JSON]["example"] = {"replyCode": 0, "replyText": "OK", "data": {"id": 2140}}
    return {
        "operationId": "getchanges",
        "tags": [TAG],
        "summary": "Export the contacts that changed",
        "description": (
            "Exports the selected fields of all contacts with properties that changed within the time range. "
            "The answer comes at once. The export runs in the background and saves a CSV file, locally or via FTP "
            "on another computer. `null` counts as missing, unknown keys are ignored.\n\n"
            "The same setting is refused with reply code 4001 until its export is done or in error."
        ),
        "requestBody": {"required": True, "content": {JSON: {"schema": schema, "example": GET_CHANGES_EXAMPLE}}},
        "responses": {"200": accepted} | errors(401, 404, 405, 408, 413, 415, 429, 500, 503, s400="InvalidExport"),
    }


def _manifest() -> dict[str, Any]:
    return {
        "operationId": "manifest",
        "tags": [TAG],
        "summary": "The manifest of an export",
        "description": (
            "What is in the file of an export that is done, signed: window, columns, rows, size and SHA-256. "
            "The same bytes as in the `.json` beside the file of a feed. `ETag` is their SHA-256."
        ),
        "parameters": [EXPORT_ID],
        "responses": {
            "200": {"description": "The manifest", "content": {JSON: {"schema": manifest_schemas.Manifest}}},
            "304": {"description": "The client has this manifest already"},
        }
        | errors(400, 401, 405, 410, 429, 500, 503, s404="DataNotFound"),
    }


def _data(operation_id: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    file = {"content": {"text/csv": {"schema": {"type": "string"}}}}
    return {
        "operationId": operation_id,
        "tags": [TAG],
        "summary": "Download the file of a local export"
        + ("" if operation_id == "data" else ", parameters in the path"),
        "description": (
            "The CSV file of an export that is done. Without `offset` and `limit` it is the whole file with an `ETag`, "
            "or the part that `Range` names. With them it is a page of contacts, for clients that read page by page. "
            "Both are compressed with `Accept-Encoding: gzip`, but ranges are not."
        ),
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "The file, or the requested contacts", **file},
            "206": {"description": "The requested bytes", **file},
            "302": {"description": "The file is at another URL for a minute, if the operator has set it so"},
            "304": {"description": "The client has this file already"},
        }
        | errors(400, 401, 405, 410, 412, 416, 429, 500, 503, s404="DataNotFound"),
    }
