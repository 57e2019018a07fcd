"""The paths of the OpenAPI document: what each is for, what it takes, what it answers."""

from typing import Any

from marshmallow import Schema

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
    "schema": {"type": "string", "pattern": "^[0-9]{1,19}$"},
    "example": "2140",
}
FIELD_ID = {
    "name": "field_id",
    "in": "path",
    "required": True,
    "description": "A contact field.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
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


def paths(schema: GetChangesSchema) -> dict[str, dict[str, Any]]:
    """Operations by path and method; `schema` is that of a getchanges request."""
    return {
        "/api/v2/contact/getchanges": {"post": _get_changes(schema)},
        "/api/v2/export/{export_id}": {"get": _export_status()},
        **_catalogue(),
        **_open_to_everybody(),
    }


def _get_changes(schema: GetChangesSchema) -> dict[str, Any]:
    accepted = _json(reply_schemas.AcceptedExportReply)
    accepted["content"][JSON]["example"] = {"replyCode": 0, "replyText": "OK", "data": {"id": 2140}}
    return {
        "operationId": "getchanges",
        "tags": ["Exports"],
        "summary": "Export the contacts that changed",
        "description": (
            "Exports the selected fields of all contacts with properties that changed within the time range. "
            "The answer comes at once; the export runs in the background and saves a CSV file, locally or via FTP "
            "on another computer. `null` counts as missing, unknown keys are ignored.\n\n"
            "The same setting is refused with reply code 4001 until its export is done or in error."
        ),
        "requestBody": {"required": True, "content": {JSON: {"schema": schema, "example": GET_CHANGES_EXAMPLE}}},
        "responses": {"200": accepted}
        | _errors(400, 401, 404, 405, 413, 415, 429, 500, 503)
        | {"400": {"$ref": "#/components/responses/InvalidExport"}},
    }


def _export_status() -> dict[str, Any]:
    return _get(
        "status",
        "Exports",
        "How is an export doing?",
        "An id that no export has answers 400, `Invalid export ID`.",
        reply_schemas.StatusReply,
        EXPORT_ID,
    )


def _catalogue() -> dict[str, dict[str, Any]]:
    fields, choices, origins = (
        reply_schemas.ContactFieldsReply,
        reply_schemas.ChoicesReply,
        reply_schemas.OriginsReply,
    )
    tag = "Catalogue"
    named = "Named in the language, or else in English."
    ids = "The ids that `origin_id` may name when `origin` is `{}`."
    gets = {
        "field": _get("fields", tag, "Contact fields", "Named in the service's language.", fields),
        "field/translate/{language}": _get(
            "fields_in_language", tag, "Contact fields in a language", named, fields, LANGUAGE
        ),
        "field/{field_id}/choice": _get(
            "choices", tag, "Choices of a field", "Empty for a field without choices.", choices, FIELD_ID
        ),
        "field/{field_id}/choice/translate/{language}": _get(
            "choices_in_language", tag, "Choices of a field in a language", named, choices, FIELD_ID, LANGUAGE
        ),
        "form": _get("forms", tag, "Forms", ids.format("form"), origins),
        "source": _get("sources", tag, "API sources", ids.format("api"), origins),
    }
    return {f"/api/v2/{path}": {"get": operation} for path, operation in gets.items()}


def _open_to_everybody() -> dict[str, dict[str, Any]]:
    document = {"description": "OpenAPI 3.1", "content": {JSON: {"schema": {"type": "object"}}}}
    alive = {"200": _json(reply_schemas.AliveReply)}
    ready = {
        "200": _json(reply_schemas.ReadinessReply),
        "503": _json(reply_schemas.ReadinessReply) | {"description": "A part does not answer"},
    }
    return {
        "/healthz": {"get": _open("healthz", "Is the process alive?", alive)},
        "/readyz": {"get": _open("readyz", "Can the service do its work now?", ready)},
        "/api/v2/openapi.json": {"get": _open("openapi", "This document", {"200": document})},
    }


def _open(operation_id: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": ["Service"],
        "summary": summary,
        "description": "Open to everybody.",
        "responses": responses | _errors(405, 500),
        "security": [],
    }


def _get(
    operation_id: str, tag: str, summary: str, description: str, reply: type[Schema], *parameters: dict[str, Any]
) -> dict[str, Any]:
    statuses = (400, 401, 404, 405, 429, 500, 503) if parameters else (401, 404, 405, 429, 500, 503)
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": {"200": _json(reply)} | _errors(*statuses),
    }


def _json(schema: type[Schema]) -> dict[str, Any]:
    return {"description": "OK", "content": {JSON: {"schema": schema}}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{ERRORS[status]}"} for status in statuses}
