"""The JSON Schema (2020-12) of the request fields for the OpenAPI document. The code of each field checks the same."""

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import fields

from contactexport.api.delivery_fields import HostKey, OpenpgpKey, PrivateKey
from contactexport.api.feed_fields import FeedName, Moment, Schedule, Sequence
from contactexport.api.request_fields import (
    MAX_DIGITS,
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
from contactexport.delivery.openpgp import MOST_CHARACTERS
from contactexport.delivery.sftp_credentials import MOST_KEY_CHARACTERS
from contactexport.languages import LANGUAGES

# Contract, Request: a JSON integer or a string of decimal digits.
ID = {"type": ["integer", "string"], "minimum": 0, "pattern": f"^[0-9]{{1,{MAX_DIGITS}}}$"}
NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001f\u007f-\u009f]*$"


SCHEMAS: Mapping[type[fields.Field[Any]], Callable[[Any], dict[str, Any]]] = {
    OneOf: lambda field: {"type": "string", "enum": list(field.allowed)},
    TimeRange: lambda _: {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
    OriginIds: lambda _: {"anyOf": [ID, {"type": "array", "items": ID, "minItems": 1}]},
    ContactFields: lambda _: {"type": "array", "items": ID, "minItems": 1},
    Flag: lambda _: {"enum": [1, 0, "1", "0"]},
    Language: lambda _: {"type": "string", "enum": sorted(LANGUAGES)},
    Port: lambda _: {"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": "^[0-9]+$"},
    Line: lambda field: {
        "type": "string",
        "minLength": 0 if field.may_be_empty else 1,
        "maxLength": field.most,
        "pattern": NO_CONTROL_CHARACTERS,
        **({"format": "password"} if field.secret else {}),
    },
    PrivateKey: lambda _: {"type": "string", "maxLength": MOST_KEY_CHARACTERS, "format": "password"},
    HostKey: lambda _: {"type": "string", "pattern": "^SHA256:[A-Za-z0-9+/]{43}=?$"},
    OpenpgpKey: lambda _: {"type": "string", "maxLength": MOST_CHARACTERS},
    FeedName: lambda _: {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
    Schedule: lambda _: {"type": "string", "maxLength": 200},
    Moment: lambda _: {"type": "string"},
    Sequence: lambda _: ID | {"minimum": 1},
    NotificationUrl: lambda _: {"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048},
}


def json_schema(_converter: object, field: fields.Field[Any], **_kwargs: Any) -> dict[str, Any]:
    """An attribute function of apispec. Returns {} for fields that apispec knows itself."""
    describe = SCHEMAS.get(type(field))
    if describe is None:
        return {}
    schema = describe(field)
    if not field.allow_none:
        return schema
    nullable = schema | {"type": [schema["type"], "null"]}
    return nullable | {"enum": [*schema["enum"], None]} if "enum" in schema else nullable
