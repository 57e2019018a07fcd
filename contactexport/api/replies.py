"""The envelope of every answer: {"replyCode": …, "replyText": …, "data": …}."""

import json
import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from contactexport.errors import ContactExportError, TooManyRequests

logger = logging.getLogger(__name__)
encode = json.JSONEncoder(separators=(",", ":")).encode  # jsonify would make an encoder for each answer

# Contract, "Everything else"; other statuses are named by HTTP itself.
REPLY_TEXTS = {404: "Not found", 405: "Method not allowed"}


def ok(data: Any) -> Response:
    """200 with reply code 0."""
    return _reply(0, "OK", data)


def error(http_status: int, reply_code: int, text: str, data: Any = "") -> Response:
    """An error in the envelope."""
    response = _reply(reply_code, text, data)
    response.status_code = http_status
    return response


def _reply(reply_code: int, text: str, data: Any) -> Response:
    g.reply_code = reply_code  # for the audit log
    body = encode({"replyCode": reply_code, "replyText": text, "data": data})
    return Response(f"{body}\n", mimetype="application/json")


def raw_error(http_status: int, reason: str) -> bytes:
    """A whole HTTP/1.1 answer in the envelope, for what is refused before it reaches the application."""
    body = json.dumps({"replyCode": 1, "replyText": reason, "data": ""}).encode()
    head = (
        f"HTTP/1.1 {http_status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def init_app(app: Flask) -> None:
    """Makes every error of the application an answer in the envelope; none leaks internals."""
    app.register_error_handler(ContactExportError, _own_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)


def _own_error(raised: ContactExportError) -> Response:
    if raised.http_status == 500:
        return _unexpected_error(raised)
    if raised.http_status == 503:
        logger.error("unavailable: %s", raised.text)
        return error(503, 1, "The service is not available now. Please try again later.")
    response = error(raised.http_status, raised.reply_code, raised.text)
    if isinstance(raised, TooManyRequests):
        response.headers["Retry-After"] = str(raised.retry_after)
    return response


def _http_error(raised: HTTPException) -> Response:
    status = raised.code or 500
    text = REPLY_TEXTS.get(status) or HTTPStatus(status).phrase.capitalize()
    response = error(status, 1, text)
    for name, value in raised.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _unexpected_error(raised: Exception) -> Response:
    logger.error("unexpected error", exc_info=raised)
    return error(500, 1, "Internal error")
