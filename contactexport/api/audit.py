"""One line a request: who, what, with which outcome, how long. No contact data, no secrets, no query strings."""

import time

from flask import Flask, Response, g, request

from contactexport import audit_log


def init_app(app: Flask) -> None:
    """Notes every request; must be added before anything that may refuse one."""
    app.before_request(_start)
    app.after_request(_note)


def _start() -> None:
    g.started = time.perf_counter()


def _note(response: Response) -> Response:
    audit_log.note(
        "request",
        user=g.caller.name if "caller" in g else None,
        method=request.method,
        path=request.path[:200],
        http=response.status_code,
        reply_code=g.get("reply_code"),
        export=g.get("export_id"),
        ms=round((time.perf_counter() - g.started) * 1000, 1),
    )
    return response
