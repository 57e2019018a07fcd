"""The errors of a request by parameter, for a form that shows each beside its input. The texts are those of replies."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from contactexport.errors import NO_LONGER_KEPT, REMOVALS_UNKNOWN

MISSING = "Missing parameter: "
# What a schema says of the request as a whole is about the window, if it begins like one of these.
ABOUT_THE_WINDOW = tuple(text.partition("{")[0] for text in (NO_LONGER_KEPT, REMOVALS_UNKNOWN))


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
            text = str(told[0])
            about = text.removeprefix(MISSING) if text.startswith(MISSING) else ""
            found["time_range" if text.startswith(ABOUT_THE_WINDOW) else about] = text
        else:
            found[prefix + name] = str(told[0])
    return found
