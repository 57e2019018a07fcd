"""Reads the schemas of the OpenAPI document: their rows for people, and an example of what they describe."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Node = Mapping[str, Any]
WITHOUT_EXAMPLE = {"integer": 0, "number": 0, "boolean": False, "null": None, "string": ""}
PLAIN_ARRAY = re.compile(r"\[\n[^\[\]{}]*\]")


@dataclass(frozen=True)
class Row:
    """A parameter or a value of an answer. `name` is its path in the body, as in `ftp_settings.host`.

    `where` is path, query or body.
    """

    name: str
    type: str
    required: bool
    description: str
    example: str
    where: str = "body"


def rows(document: Node, schema: Node, prefix: str = "") -> Iterator[Row]:
    """Yields a row for each property. Those of nested objects follow their parent."""
    schema = _resolved(document, schema)
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        value = _resolved(document, described)
        example = json_text(value["example"], indent=None) if value.get("example") is not None else ""
        description = described.get("description", value.get("description", ""))
        yield Row(prefix + name, _type(document, value), name in required, description, example)
        yield from rows(document, value, f"{prefix}{name}.")
        yield from rows(document, value.get("items", {}), f"{prefix}{name}[].")


def example_of(document: Node, schema: Node) -> Any:
    """Returns a value that the schema describes, from the examples of its parts, without optional properties."""
    schema = _resolved(document, schema)
    if "example" in schema:
        return schema["example"]
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        required = schema.get("required", ())
        return {name: example_of(document, value) for name, value in schema["properties"].items() if name in required}
    types = schema.get("type", "object")
    if types == "array":
        return [example_of(document, schema["items"])]
    return WITHOUT_EXAMPLE.get(types if isinstance(types, str) else types[-1], {})


def json_text(value: Any, indent: int | None = 2) -> str:
    """Returns JSON for people: arrays of plain values are on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return PLAIN_ARRAY.sub(lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text)


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
        return ", ".join(json_text(value) for value in schema["enum"])
    types = schema.get("type", "any")
    named = types if isinstance(types, str) else " or ".join(types)
    return f"array of {_type(document, schema['items'])}" if named == "array" else named
