"""Reads the body of a request, whatever it holds: sent in chunks or packed by gzip, and never more than the limit."""

import zlib
from gzip import GzipFile
from io import BytesIO
from typing import IO

from flask import Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType


def read_body(request: Request) -> bytes:
    """The body, unpacked.

    Raises BadRequest for a body that breaks off, RequestEntityTooLarge for one that is too long, as sent or unpacked,
    UnsupportedMediaType for another coding than gzip, ValueError for a body that is no gzip although declared as one.
    """
    return _unpacked(request, _as_sent(request))


def _as_sent(request: Request) -> bytes:
    """Of a body that is sent in chunks werkzeug would silently drop what is beyond the limit."""
    try:
        if request.content_length is not None or "wsgi.input_terminated" not in request.environ:
            return request.get_data()
        return _read(request, request.environ["wsgi.input"])
    except OSError:  # a chunk that is malformed, a client that went away
        raise BadRequest from None


def _unpacked(request: Request, body: bytes) -> bytes:
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
