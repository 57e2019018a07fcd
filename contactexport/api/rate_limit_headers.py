"""X-RateLimit-* on every answer under /api (contract, What clients ask besides): clients read them without looking."""

import time

from flask import Flask, Response, g

from contactexport.api.authentication import is_under_api
from contactexport.api.backend import current_backend
from contactexport.request_permits import RateLimit


def init_app(app: Flask) -> None:
    """Adds the headers."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    if is_under_api():
        known: RateLimit = g.get("rate_limit") or _of_nobody()
        response.headers["X-RateLimit-Limit"] = str(known.limit)
        response.headers["X-RateLimit-Remaining"] = str(known.remaining)
        response.headers["X-RateLimit-Reset"] = str(known.reset)
    return response


def _of_nobody() -> RateLimit:
    """Who was not recognised has used up nothing."""
    limit = current_backend().settings.requests_per_minute
    return RateLimit(limit, limit, (int(time.time()) // 60 + 1) * 60)
