"""Reads the JSON body of a request, strictly (RFC 8259; contract, Request).

What Python's parser lets pass and what would break later is refused here: a key given twice, NaN and Infinity, lone
surrogates, NUL, deep nesting, integers of thousands of digits.
"""

import json
import math
import zlib
from functools import lru_cache
from gzip import GzipFile
from io import BytesIO
from typing import IO, Any

from flask import Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_options_header

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

    Raises InvalidRequest. Raises BadRequest for a body that breaks off, RequestEntityTooLarge for one that is too long,
    as sent or unpacked, UnsupportedMediaType for another declared type than JSON or another coding than gzip.
    """
    if not _is_json_type(request.environ.get("CONTENT_TYPE", "")):
        raise UnsupportedMediaType
    try:
        value = parse(_unpacked(request, _body(request)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("Invalid JSON in the request body")
    return value


def _body(request: Request) -> bytes:
    """All of the body as sent. Of one that is sent in chunks werkzeug would silently drop what is beyond the limit."""
    try:
        if request.content_length is not None or "wsgi.input_terminated" not in request.environ:
            return request.get_data()
        return _read(request, request.environ["wsgi.input"])
    except OSError:  # a chunk that is malformed, a client that went away
        raise BadRequest from None


def _unpacked(request: Request, body: bytes) -> bytes:
    """The body without its gzip, if it has one. Raises ValueError for a body that is no gzip."""
    encoding = request.environ.get("HTTP_CONTENT_ENCODING", "").lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:  # both are the same (RFC 9110, 8.4.1.3)
        raise UnsupportedMediaType
    try:
        return _read(request, GzipFile(fileobj=BytesIO(body)))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from None


def _read(request: Request, stream: IO[bytes] | GzipFile) -> bytes:
    """All of a stream, of which no more than the limit of a body is ever held."""
    most = request.max_content_length
    content = stream.read() if most is None else stream.read(most + 1)
    if most is not None and len(content) > most:
        raise RequestEntityTooLarge
    return content


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
