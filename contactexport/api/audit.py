"""One line a request: who, from where, what, with which outcome, how long.

No contact data, no secrets, no query strings. Probes of /healthz and /readyz are no requests of anybody.
"""

import time

from flask import Flask, Response, g, request

from contactexport import audit_log
from contactexport.api import health_routes
from contactexport.api.client_address import client_address


def init_app(app: Flask) -> None:
    """Notes every request; must be added before anything that may refuse one."""
    app.before_request(_start)
    app.after_request(_note)


def _start() -> None:
    g.started = time.perf_counter()


def _note(response: Response) -> Response:
    if request.blueprint == health_routes.blueprint.name:
        return response
    audit_log.note(
        "request",
        user=g.caller.name if "caller" in g else None,
        address=client_address(),
        method=request.method,
        path=request.path[:200],
        http=response.status_code,
        reply_code=g.get("reply_code"),
        export=g.get("export_id"),
        ms=round((time.perf_counter() - g.started) * 1000, 1),
    )
    return response
