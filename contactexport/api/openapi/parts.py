"""The parts that operations of the OpenAPI document share."""

from typing import Any

from marshmallow import Schema

JSON = "application/json"
# Statuses and the components that describe them (openapi/errors.py).
ERRORS = {
    400: "InvalidRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    410: "DataGone",
    412: "PreconditionFailed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    416: "RangeNotSatisfiable",
    429: "TooManyRequests",
    500: "InternalError",
    503: "Unavailable",
}


def operation(
    operation_id: str,
    tag: str,
    summary: str,
    description: str,
    reply: type[Schema],
    *parameters: dict[str, Any],
) -> dict[str, Any]:
    """Describes a call that needs credentials and answers 200 with `reply`, or one of the usual errors."""
    statuses = (400, 401, 404, 405, 429, 500, 503) if parameters else (401, 404, 405, 429, 500, 503)
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": {"200": json_reply(reply)} | errors(*statuses),
    }


def parameter(where: str, name: str, description: str, example: str, **schema: Any) -> dict[str, Any]:
    """Describes a parameter in the path or the query. Those in the path are required."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": {"type": "string"} | schema,
        "example": example,
    }


def json_reply(schema: type[Schema]) -> dict[str, Any]:
    """Describes an answer in JSON."""
    return {"description": "OK", "content": {JSON: {"schema": schema}}}


def errors(*statuses: int, **components: str) -> dict[str, Any]:
    """Returns references to the usual components of these statuses. `s404="Name"` names another one for 404."""
    names = {str(status): ERRORS[status] for status in statuses}
    names |= {status.removeprefix("s"): name for status, name in components.items()}
    return {status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()}
