"""The envelope of every answer: {"replyCode": …, "replyText": …, "data": …}."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from contactexport.errors import ContactExportError, ExportAlreadyRunning, TooManyRequests

logger = logging.getLogger(__name__)
encode = json.JSONEncoder(separators=(",", ":")).encode  # jsonify would make an encoder for each answer

# Contract, "Everything else"; other statuses are named by HTTP itself.
REPLY_TEXTS = {404: "Not found", 405: "Method not allowed"}
OF_THE_BODY = {"content-type", "content-length"}


@dataclass(frozen=True)
class Explanation:
    """What the client is told of an error."""

    http_status: int
    reply_code: int
    text: str
    headers: Mapping[str, str]


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
    app.register_error_handler(Exception, _in_envelope)


def _in_envelope(raised: Exception) -> Response:
    told = explain(raised)
    response = error(told.http_status, told.reply_code, told.text)
    response.headers.update(told.headers)
    return response


def explain(raised: Exception) -> Explanation:
    """What the client is told of an error. What is our fault goes to the log."""
    if isinstance(raised, HTTPException):
        status = raised.code or 500
        text = REPLY_TEXTS.get(status) or HTTPStatus(status).phrase.capitalize()
        headers = {name: value for name, value in raised.get_headers() if name.lower() not in OF_THE_BODY}
        return Explanation(status, 1, text, headers)
    if not isinstance(raised, ContactExportError) or raised.http_status == 500:
        logger.error("unexpected error", exc_info=raised)
        return Explanation(500, 1, "Internal error", {})
    if raised.http_status == 503:
        logger.error("unavailable: %s", raised.text)
        headers = {"Retry-After": str(raised.retry_after)}
        return Explanation(503, 1, "The service is not available now. Please try again later.", headers)
    return Explanation(raised.http_status, raised.reply_code, raised.text, _headers(raised))


def _headers(raised: ContactExportError) -> Mapping[str, str]:
    if isinstance(raised, TooManyRequests):
        return {"Retry-After": str(raised.retry_after)}
    if isinstance(raised, ExportAlreadyRunning) and raised.export_id is not None:
        return {"X-Export-Id": str(raised.export_id)}
    return {}
