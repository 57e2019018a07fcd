"""GET /healthz and /readyz, for monitoring. Both are open to everybody."""

from flask import Blueprint, Response, current_app

from contactexport import readiness
from contactexport.api import responses
from contactexport.api.authentication import current_context

blueprint = Blueprint(responses.PROBES, __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answers 200 while this process answers at all."""
    return responses.reply({"alive": True})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Answers 200 if exports can be accepted, else 503 with the names of the parts that fail.

    The state of the broker is shown, but a failing broker is no 503. A server that is shutting down answers 503 (see
    config/gunicorn.py): it still accepts requests, but not for long.
    """
    if current_app.extensions.get("is_draining", lambda: False)():
        return responses.error(503, 1, "Not ready: shutting down", {"server": "shutting down"})
    parts = readiness.check(current_context())
    if failing := readiness.failing(parts):
        return responses.error(503, 1, f"Not ready: {', '.join(failing)}", parts)
    return responses.reply(parts)
