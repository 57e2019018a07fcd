"""What the OpenAPI document says of the request fields: their JSON Schema (2020-12), beside their own code's checks."""

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import fields

from contactexport.api.request_fields import (
    MOST_DIGITS,
    ContactFields,
    Flag,
    Language,
    Line,
    NotificationUrl,
    OneOf,
    OriginIds,
    Port,
    TimeRange,
)
from contactexport.languages import LANGUAGES

# Contract, Request: a JSON integer or a string of decimal digits.
ID = {"type": ["integer", "string"], "minimum": 0, "pattern": f"^[0-9]{{1,{MOST_DIGITS}}}$"}
NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def _line(field: Line) -> dict[str, Any]:
    least = 0 if field.may_be_empty else 1
    line = {"type": "string", "minLength": least, "maxLength": field.most, "pattern": NO_CONTROL_CHARACTERS}
    return line | ({"format": "password"} if field.secret else {})


SCHEMAS: Mapping[type[fields.Field[Any]], Callable[[Any], dict[str, Any]]] = {
    OneOf: lambda field: {"type": "string", "enum": list(field.allowed)},
    TimeRange: lambda _: {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
    OriginIds: lambda _: {"anyOf": [ID, {"type": "array", "items": ID, "minItems": 1}]},
    ContactFields: lambda _: {"type": "array", "items": ID, "minItems": 1},
    Flag: lambda _: {"enum": [1, 0, "1", "0"]},
    Language: lambda _: {"type": "string", "enum": sorted(LANGUAGES)},
    Port: lambda _: {"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": "^[0-9]+$"},
    Line: _line,
    NotificationUrl: lambda _: {"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048},
}


def json_schema(_converter: object, field: fields.Field[Any], **_kwargs: Any) -> dict[str, Any]:
    """An attribute function of apispec; nothing for the fields that apispec knows by itself."""
    describe = SCHEMAS.get(type(field))
    if describe is None:
        return {}
    schema = describe(field)
    return _nullable(schema) if field.allow_none else schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    nullable = schema | {"type": [schema["type"], "null"]}
    return nullable | {"enum": [*schema["enum"], None]} if "enum" in schema else nullable
