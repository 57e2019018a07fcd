"""The errors of a request by parameter, for a form that shows each beside its input. The texts are those of replies."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError

# What a schema says of the request as a whole names the parameter that it is about.
NAMED = re.compile(r"(?:Missing parameter: |Invalid value for )([a-z_.]+)")


def load_with_errors(schema: Schema, body: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """What the schema makes of the body, and no errors. Or None, and the first error of each parameter.

    A parameter of a nested object is named like `ftp_settings.host`. What is about none of them is under "".
    """
    try:
        return schema.load(body), {}
    except ValidationError as error:
        return None, errors_by_parameter(error.messages)


def errors_by_parameter(messages: Any, prefix: str = "") -> dict[str, str]:
    """The messages of a ValidationError: lists by parameter, in a nested schema by parameter again."""
    found: dict[str, str] = {}
    for name, told in messages.items():
        if isinstance(told, dict):
            found |= errors_by_parameter(told, f"{prefix}{name}.")
        elif name == "_schema":
            about = NAMED.match(str(told[0]))
            found[about[1] if about else prefix.rstrip(".")] = str(told[0])
        else:
            found[prefix + name] = str(told[0])
    return found
