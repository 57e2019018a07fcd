"""The content of the page /docs, from the OpenAPI document: one record per operation, one row per value."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from contactexport.api.request_form import FORM

Node = Mapping[str, Any]
ENVELOPE = {"replyCode", "replyText"}


@dataclass(frozen=True)
class Row:
    """A parameter or a value of an answer. `name` is its path in the body, as in `ftp_settings.host`."""

    name: str
    type: str
    required: bool
    description: str
    example: str


@dataclass(frozen=True)
class Operation:
    """One operation. `errors` are pairs of status and component name. Examples are JSON texts."""

    id: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    is_open: bool
    parameters: list[Row]
    request_example: str
    reply: list[Row]
    errors: list[tuple[str, str]]


def operations(document: Node) -> list[Operation]:
    """Returns all operations in the order of the document."""
    return [
        _operation(document, path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _operation(document: Node, path: str, method: str, operation: Node) -> Operation:
    media_type, body = next(iter(operation.get("requestBody", {"content": {"": {}}})["content"].items()))
    reply = next(iter(operation["responses"]["200"]["content"].values()))["schema"]
    errors = {status: response for status, response in operation["responses"].items() if "$ref" in response}
    parameters = [
        Row(one["name"], f"in the {one['in']}", one["required"], one["description"], one["example"])
        for one in operation.get("parameters", [])
    ]
    example = (urlencode(body["example"]) if media_type == FORM else _json(body["example"])) if body else ""
    return Operation(
        id=operation["operationId"],
        tag=operation["tags"][0],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        is_open=operation.get("security") == [],
        parameters=parameters + list(_rows(document, body.get("schema", {}))),
        request_example=example,
        reply=[row for row in _rows(document, reply) if row.name not in ENVELOPE],
        errors=[(status, response["$ref"].rpartition("/")[2]) for status, response in sorted(errors.items())],
    )


def _rows(document: Node, schema: Node, prefix: str = "") -> Iterator[Row]:
    """Yields a row for each property. Those of nested objects follow their parent."""
    schema = _resolved(document, schema)
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        value = _resolved(document, described)
        example = _json(value["example"], indent=None) if value.get("example") is not None else ""
        description = described.get("description", value.get("description", ""))
        yield Row(prefix + name, _type(document, value), name in required, description, example)
        yield from _rows(document, value, f"{prefix}{name}.")
        yield from _rows(document, value.get("items", {}), f"{prefix}{name}[].")


def _resolved(document: Node, schema: Node) -> Node:
    """Returns the schema behind a reference, or behind a reference that may be null."""
    for option in [schema, *schema.get("anyOf", ())]:
        if "$ref" in option:
            target: Node = document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
            return target
    return schema


def _type(document: Node, schema: Node) -> str:
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        return " or ".join(_type(document, option) for option in schema["anyOf"])
    if "enum" in schema and len(schema["enum"]) <= 5:
        return ", ".join(_json(value) for value in schema["enum"])
    types = schema.get("type", "any")
    named = types if isinstance(types, str) else " or ".join(types)
    return f"array of {_type(document, schema['items'])}" if named == "array" else named


def _json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
