"""Reads the body of a request, and its JSON strictly (RFC 8259; contract, Request).

The parser of Python accepts some texts that are not JSON, or that would break later. They are refused here: a repeated
key, NaN and Infinity, lone surrogates, NUL, deep nesting, integers of thousands of digits.
"""

import json
import math
import zlib
from gzip import GzipFile
from io import BytesIO
from typing import IO, Any

from flask import Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from contactexport.errors import InvalidRequest

MAX_LEVELS = 32
# The checks of these parameters name the value with a control character.
MAY_HOLD_NUL = frozenset({"ftp_settings", "notification_url"})
# What clients send, such as the default of curl. A body that is something else fails as JSON anyway.
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
    """Returns the body as an object.

    Raises InvalidRequest, UnsupportedMediaType if another type than JSON is declared, and what read_body raises.
    """
    is_json = request.mimetype in MEDIA_TYPES or request.mimetype.endswith("+json")
    charset = request.mimetype_params.get("charset", "utf-8").lower().replace("_", "-")
    if not is_json or charset not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType
    try:
        value = parse(read_body(request))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("Invalid JSON in the request body")
    return value


def read_body(request: Request) -> bytes:
    """Returns the body, joined from its chunks and unpacked from gzip. It never reads more than the limit.

    Raises BadRequest if the body breaks off, RequestEntityTooLarge if it is too long, as sent or unpacked,
    UnsupportedMediaType for another coding than gzip, and ValueError if the body is declared as gzip and is not.
    """
    try:
        if request.content_length is not None or "wsgi.input_terminated" not in request.environ:
            body = request.get_data()
        else:  # of a chunked body werkzeug would silently drop what is beyond the limit
            body = _read(request, request.environ["wsgi.input"])
    except OSError:  # a malformed chunk, or a client that disconnected
        raise BadRequest from None
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:  # both mean the same (RFC 9110, 8.4.1.3)
        raise UnsupportedMediaType
    try:
        return _read(request, GzipFile(fileobj=BytesIO(body)))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from None


def _read(request: Request, stream: IO[bytes] | GzipFile) -> bytes:
    """Reads a whole stream, and never more than one byte beyond the limit of a body."""
    most = request.max_content_length
    content = stream.read() if most is None else stream.read(most + 1)
    if most is not None and len(content) > most:
        raise RequestEntityTooLarge
    return content


def parse(body: bytes) -> Any:
    """Returns the value of a JSON text in UTF-8. Raises ValueError or RecursionError."""
    text = body.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    value = json.loads(
        text,
        object_pairs_hook=_object_without_duplicates,
        parse_constant=_refuse,
        parse_float=_finite,
    )
    # Most texts need no check: lone surrogates and NUL are written with a backslash and u, and levels with brackets.
    # A value inside the last bracket is one more level.
    if "\\u" not in text and text.count("[") + text.count("{") < MAX_LEVELS:
        return value
    pending = [(value, 1, False)]
    while pending:
        part, level, nul_allowed = pending.pop()
        if level > MAX_LEVELS:
            raise ValueError("nested too deeply")
        if isinstance(part, str):
            part.encode("utf-8")  # a lone surrogate cannot be encoded: UnicodeEncodeError is a ValueError
            if "\0" in part and not nul_allowed:
                raise ValueError("NUL in a string")
        elif isinstance(part, dict):
            pending.extend((key, level, nul_allowed) for key in part)
            may_hold_nul = MAY_HOLD_NUL if level == 1 else frozenset()
            pending.extend((item, level + 1, nul_allowed or key in may_hold_nul) for key, item in part.items())
        elif isinstance(part, list):
            pending.extend((item, level + 1, nul_allowed) for item in part)
    return value


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
