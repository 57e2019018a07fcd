"""The paths of the OpenAPI document: what each is for, what it takes, what it answers."""

from typing import Any

from contactexport.api import reply_schemas
from contactexport.api.schemas import GetChangesSchema

JSON = "application/json"
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
EXPORT_ID = {
    "name": "export_id",
    "in": "path",
    "required": True,
    "description": "The id that getchanges answered.",
    "schema": {"type": "string"},
    "example": "2140",
}
FIELD_ID = {
    "name": "field_id",
    "in": "path",
    "required": True,
    "description": "A contact field.",
    "schema": {"type": "string"},
    "example": "5",
}
LANGUAGE = {
    "name": "language",
    "in": "path",
    "required": True,
    "description": "A language code, in either case.",
    "schema": {"type": "string"},
    "example": "de",
}
OPEN: dict[str, Any] = {"security": []}  # callable without credentials


def paths(schema: GetChangesSchema) -> dict[str, dict[str, Any]]:
    """Operations by path and method; `schema` is that of a getchanges request."""
    return {
        "/api/v2/contact/getchanges": {"post": _get_changes(schema)},
        "/api/v2/export/{export_id}": {
            "get": _get(
                "Exports",
                "How is an export doing?",
                reply_schemas.StatusReply,
                "An id that no export has answers 400, `Invalid export ID`.",
                EXPORT_ID,
            )
        },
        **_catalogue(),
        **_health(),
    }


def _get_changes(schema: GetChangesSchema) -> dict[str, Any]:
    accepted = _json(reply_schemas.AcceptedExportReply, {"replyCode": 0, "replyText": "OK", "data": {"id": 2140}})
    return {
        "tags": ["Exports"],
        "operationId": "getchanges",
        "summary": "Export the contacts that changed",
        "description": (
            "Exports the selected fields of all contacts with properties that changed within the time range. "
            "The answer comes at once; the export runs in the background and saves a CSV file, locally or via FTP "
            "on another computer. `null` counts as missing, unknown keys are ignored.\n\n"
            "The same setting is refused with reply code 4001 until its export is done or in error."
        ),
        "requestBody": {"required": True, "content": {JSON: {"schema": schema, "example": GET_CHANGES_EXAMPLE}}},
        "responses": {"200": accepted, **_errors(400, 401, 404, 405, 413, 415, 429, 500, 503)}
        | {"400": {"$ref": "#/components/responses/InvalidExport"}},
    }


def _catalogue() -> dict[str, dict[str, Any]]:
    fields, choices, origins = (
        reply_schemas.ContactFieldsReply,
        reply_schemas.ChoicesReply,
        reply_schemas.OriginsReply,
    )
    named = "Names in the language, where there is none in English."
    return {
        "/api/v2/field": {"get": _get("Catalogue", "Contact fields", fields, "Names in the service's language.")},
        "/api/v2/field/translate/{language}": {
            "get": _get("Catalogue", "Contact fields in a language", fields, named, LANGUAGE)
        },
        "/api/v2/field/{field_id}/choice": {
            "get": _get("Catalogue", "Choices of a field", choices, "Empty for a field without choices.", FIELD_ID)
        },
        "/api/v2/field/{field_id}/choice/translate/{language}": {
            "get": _get("Catalogue", "Choices of a field in a language", choices, named, FIELD_ID, LANGUAGE)
        },
        "/api/v2/form": {"get": _get("Catalogue", "Forms", origins, "The ids that `origin_id` may name for `form`.")},
        "/api/v2/source": {
            "get": _get("Catalogue", "API sources", origins, "The ids that `origin_id` may name for `api`.")
        },
    }


def _health() -> dict[str, dict[str, Any]]:
    not_ready = _json(reply_schemas.ReadinessReply) | {"description": "A part does not answer"}
    document = {"200": {"description": "OpenAPI 3.1", "content": {JSON: {"schema": {"type": "object"}}}}}
    return {
        "/healthz": {
            "get": _get("Health", "Is the process alive?", reply_schemas.AliveReply, "Open to everybody.") | OPEN
        },
        "/readyz": {
            "get": {
                "tags": ["Health"],
                "operationId": "readyz",
                "summary": "Can it do its work now?",
                "description": "Open to everybody.",
                "responses": {"200": _json(reply_schemas.ReadinessReply), **_errors(405, 500), "503": not_ready},
                **OPEN,
            }
        },
        "/api/v2/openapi.json": {
            "get": {
                "tags": ["Health"],
                "operationId": "openapi",
                "summary": "This document",
                "description": "Open to everybody.",
                "responses": document | _errors(405, 500),
                **OPEN,
            }
        },
    }


def _get(tag: str, summary: str, reply: type, description: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": {"200": _json(reply), **_errors(*([400] if parameters else []), 401, 404, 405, 429, 500, 503)},
    }


def _json(schema: type, example: Any = None) -> dict[str, Any]:
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": "OK", "content": {JSON: content}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{ERRORS[status]}"} for status in statuses}


ERRORS = {
    400: "InvalidRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
    503: "Unavailable",
}
