"""Every answer: its envelope {"replyCode": …, "replyText": …, "data": …}, its headers, and its line in the audit log.

The headers limit what browsers do with the answer. Under /api there are also X-RateLimit-* and challenges. The line
tells who sent the request, from where, what, with which outcome, how long it took. It has no contact data, no secrets
and no query string.
"""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from contactexport import audit, log_context
from contactexport.api.authentication import current_context
from contactexport.errors import ContactExportError, ExportAlreadyRunning, TooManyRequests
from contactexport.metrics import requests as request_metrics
from contactexport.metrics.requests import UNKNOWN
from contactexport.users.rate_limit import RateLimit

logger = logging.getLogger(__name__)

# Contract, "Everything else". Other statuses have the names of HTTP.
REPLY_TEXTS = {404: "Not found", 405: "Method not allowed"}
PROBES, METRICS = "health", "metrics"  # the names of their blueprints
GOT_ITS_PART = {200, 204, 286}  # by the last one htmx is told to stop
OF_THE_BODY = {"content-type", "content-length"}
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Explanation:
    """The answer to a client about an error."""

    http_status: int
    reply_code: int
    text: str
    headers: Mapping[str, str]


def reply(data: Any, reply_code: int = 0, reply_text: str = "OK") -> Response:
    """Answers 200 in the envelope."""
    g.reply_code = reply_code  # for the audit log
    return jsonify({"replyCode": reply_code, "replyText": reply_text, "data": data})


def error(http_status: int, reply_code: int, text: str, data: Any = "") -> Response:
    """Answers an error in the envelope."""
    response = reply(data, reply_code, text)
    response.status_code = http_status
    return response


def raw_error(http_status: int, reason: str) -> bytes:
    """Returns a whole HTTP/1.1 answer in the envelope, for requests that do not reach the application."""
    body = json.dumps({"replyCode": 1, "replyText": reason, "data": ""}).encode()
    head = (
        f"HTTP/1.1 {http_status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"{log_context.HEADER}: {log_context.request_id() or log_context.new_id()}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def init_app(app: Flask) -> None:
    """Makes every answer of the application one in the envelope, with its headers and its line in the audit log."""
    app.register_error_handler(Exception, in_envelope)
    app.after_request(finish)


def in_envelope(raised: Exception) -> Response:
    """Answers an error without internals."""
    told = explain(raised)
    response = error(told.http_status, told.reply_code, told.text)
    response.headers.update(told.headers)
    return response


def finish(response: Response) -> Response:
    """Adds the headers, those about security only where the answer does not set them, and writes the audit line.

    No line have probes of /healthz and /readyz, a /metrics that is read, and a page of the console that reloads a part
    of itself and gets it. Counts every request.
    """
    response.headers[log_context.HEADER] = g.request_id
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:  # RFC 6797, 7.2
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if response.status_code == 401:  # names the accepted schemes (RFC 9110, 15.5.2)
        schemes = "Bearer" if g.api_version in {"v3", None} else 'WSSE profile="UsernameToken", Bearer'
        response.headers.setdefault("WWW-Authenticate", schemes)
    if g.api_version is not None:  # clients expect them (contract, What clients ask besides)
        full = current_context().settings.requests_per_minute  # for a client without credentials
        limit: RateLimit = g.get("rate_limit") or RateLimit(full, full, (int(time.time()) // 60 + 1) * 60)
        response.headers["X-RateLimit-Limit"] = str(limit.limit)
        response.headers["X-RateLimit-Remaining"] = str(limit.remaining)
        response.headers["X-RateLimit-Reset"] = str(math.ceil(limit.void_at))
    seconds = time.perf_counter() - g.started
    route = UNKNOWN if request.url_rule is None else f"{request.method} {request.url_rule.rule}"
    request_metrics.of_this_process().count(route, response.status_code, g.get("reply_code"), seconds)
    is_read = request.blueprint == METRICS and response.status_code == 200
    is_reloaded = g.get("is_poll") and response.status_code in GOT_ITS_PART
    if not (request.blueprint == PROBES or is_read or is_reloaded):
        audit.note(
            "request",
            user=g.caller.name if "caller" in g else None,
            address=g.address,
            method=request.method,
            path=g.get("logged_path") or (request.path.removesuffix("/") or "/")[:200],
            http=response.status_code,
            reply_code=g.get("reply_code"),
            export=g.get("export_id"),
            ms=round(seconds * 1000, 1),
        )
    return response


def explain(raised: Exception) -> Explanation:
    """Returns the answer about an error. Faults of the service go to the log."""
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
    headers = {}
    if isinstance(raised, TooManyRequests):
        headers = {"Retry-After": str(raised.retry_after)}
    elif isinstance(raised, ExportAlreadyRunning) and raised.export_id is not None:
        headers = {"X-Export-Id": str(raised.export_id)}
    return Explanation(raised.http_status, raised.reply_code, raised.text, headers)
