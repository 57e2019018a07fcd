"""GET /healthz and /readyz, for whoever keeps the service running; both are open to everybody."""

from flask import Blueprint, Response, current_app

from contactexport.api import replies
from contactexport.api.backend import current_backend
from contactexport.services import check_readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 as long as this process answers at all."""
    return replies.ok({"alive": True})


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 when exports can be accepted, else 503 with the names of the parts that do not work; the broker is none of
    them, its state is for information.

    503, too, while this server is shutting down (see config/gunicorn.py): it still answers, but not for long.
    """
    if current_app.extensions.get("is_draining", lambda: False)():
        return replies.error(503, 1, "Not ready: shutting down", {"server": "shutting down"})
    parts = check_readiness.check(current_backend())
    if failing := check_readiness.failing(parts):
        return replies.error(503, 1, f"Not ready: {', '.join(failing)}", parts)
    return replies.ok(parts)
