"""The operations on contacts as they are now, for the OpenAPI document."""

from typing import Any

from contactexport.api.catalogue_schemas import ContactPageReply
from contactexport.api.openapi.parts import JSON, errors, json_reply, operation, parameter

TAG = "Catalogue"
RETURN = parameter("query", "return", "id of the field to return", "3", pattern="^[0-9]{1,18}$") | {"required": True}
LIMIT = parameter("query", "limit", "contacts, at most 10000", "1000", pattern="^[0-9]{0,18}$")
OFFSET = parameter("query", "offset", "contacts to skip", "0", pattern="^[0-9]{0,18}$")
BY_IDS = {
    "type": "object",
    "required": ["keyId", "keyValues"],
    "properties": {
        "keyId": {"enum": ["id"]},
        "keyValues": {"type": "array", "items": {"type": ["string", "integer"]}, "maxItems": 1000},
        "fields": {"type": "array", "items": {"type": ["string", "integer"]}},
    },
}
GET_DATA_EXAMPLE = {"keyId": "id", "keyValues": ["1", "2"], "fields": ["1", "3"]}


def contact_paths() -> dict[str, dict[str, Any]]:
    """Returns operations by path and method."""
    stored = "Values are as stored: a choice is its id. For many contacts an export is faster."
    page = (
        "The id of each contact and the field `return`. All contacts, or those with a value in one field, as in "
        f"`3=anna@example.com`. {stored}"
    )
    by_ids = f"At most 1000. `errors` names those that do not exist. {stored}"
    return {
        "/api/v2/contact/query": {
            "get": operation("query", TAG, "Contacts page by page", page, ContactPageReply, RETURN, LIMIT, OFFSET)
        },
        "/api/v2/contact/getdata": {
            "post": {
                "operationId": "getdata",
                "tags": [TAG],
                "summary": "Contacts by their ids",
                "description": by_ids,
                "requestBody": {"required": True, "content": {JSON: {"schema": BY_IDS, "example": GET_DATA_EXAMPLE}}},
                "responses": {"200": json_reply(ContactPageReply)}
                | errors(400, 401, 404, 405, 408, 413, 415, 429, 500, 503),
            }
        },
    }
