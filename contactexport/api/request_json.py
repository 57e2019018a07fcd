"""Reads the JSON body of a request, strictly (RFC 8259; contract, Request).

What Python's parser lets pass and what would break later is refused here: a key given twice, NaN and Infinity, lone
surrogates, NUL, deep nesting, integers of thousands of digits.
"""

import json
import math
from functools import lru_cache
from typing import Any

from flask import Request
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.http import parse_options_header

from contactexport.api.request_body import read_body
from contactexport.errors import InvalidRequest

MOST_LEVELS = 32
# Their own checks name the value that holds a control character.
MAY_HOLD_NUL = frozenset({"ftp_settings", "notification_url"})
# What clients send: curl's default among them; a body that is something else fails as JSON anyway.
MEDIA_TYPES = frozenset(
    {
        "",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/json",
        "text/plain",
    }
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load_object(request: Request) -> dict[str, Any]:
    """The body as an object.

    Raises InvalidRequest, UnsupportedMediaType for another declared type than JSON, and what read_body raises.
    """
    if not _is_json_type(request.environ.get("CONTENT_TYPE", "")):
        raise UnsupportedMediaType
    try:
        value = parse(read_body(request))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("Invalid JSON in the request body")
    return value


def parse(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError or RecursionError."""
    text = body.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    value = json.loads(
        text,
        object_pairs_hook=_object_without_duplicates,
        parse_constant=_refuse,
        parse_float=_finite,
    )
    # Lone surrogates and NUL can only be written with a backslash and u, and levels need brackets: most texts have
    # neither. A value inside the last bracket is a level of its own.
    if "\\u" in text or text.count("[") + text.count("{") >= MOST_LEVELS:
        _check_strings(value)
    return value


@lru_cache(maxsize=16)
def _is_json_type(content_type: str) -> bool:
    """Remembered, since a client sends the same one with each request."""
    media_type, parameters = parse_options_header(content_type)
    charset = parameters.get("charset", "utf-8").lower().replace("_", "-")
    media_type = media_type.lower()
    return (media_type in MEDIA_TYPES or media_type.endswith("+json")) and charset in {"utf-8", "utf8"}


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is given twice")
    return made


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


def _check_strings(root: Any) -> None:
    pending = [(root, 1, False)]
    while pending:
        value, level, nul_allowed = pending.pop()
        if level > MOST_LEVELS:
            raise ValueError("nested too deeply")
        if isinstance(value, str):
            _check_string(value, nul_allowed)
        elif isinstance(value, dict):
            for key, item in value.items():
                _check_string(key, nul_allowed)
                pending.append((item, level + 1, nul_allowed or (level == 1 and key in MAY_HOLD_NUL)))
        elif isinstance(value, list):
            pending.extend((item, level + 1, nul_allowed) for item in value)


def _check_string(text: str, nul_allowed: bool) -> None:
    text.encode("utf-8")  # a lone surrogate cannot be encoded: UnicodeEncodeError is a ValueError
    if "\0" in text and not nul_allowed:
        raise ValueError("NUL in a string")
