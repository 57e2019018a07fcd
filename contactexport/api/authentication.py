"""Nobody gets an answer of /api without credentials: 401 comes before any other status.

`flask.g.caller` is who sends the request. Every request asks the database, so a revoked token is refused at once by
every process.
"""

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, g, request

from contactexport.api.backend import current_backend
from contactexport.errors import TooManyRequests, Unauthorized
from contactexport.models import Caller
from contactexport.services import limit_requests
from contactexport.services.authenticate import authenticate

# The description of the API holds nothing of anybody's; it tells newcomers and tools how to authenticate.
OPEN_PATHS = frozenset({"/api/v2/openapi.json", "/api/v3/openapi.json"})


def init_app(app: Flask) -> None:
    """Guards the paths of the API; all others, such as /healthz, stay open."""
    app.before_request(require_user)
    app.after_request(add_challenge)


def require_user() -> None:
    """Runs before the route is looked at, so unknown paths and wrong methods are refused alike.

    Raises Unauthorized, TooManyRequests.
    """
    if request.path in OPEN_PATHS or not is_under_api():
        return
    sent = request.environ
    wsse = None if _is_v3() else _header(sent, "HTTP_X_WSSE") or _header(sent, "HTTP_WSSE")
    admit(authenticate(current_backend(), wsse, _header(sent, "HTTP_AUTHORIZATION")))


def admit(caller: Caller) -> None:
    """Notes who sends this request, and counts it. Raises TooManyRequests."""
    g.caller = caller
    g.rate_limit = limit_requests.count_request(current_backend(), caller)
    if g.rate_limit.refused:
        raise TooManyRequests(f"More than {g.rate_limit.limit} requests in a minute", g.rate_limit.retry_after)


def current_caller() -> Caller:
    """Who sends this request."""
    caller: Caller = g.caller
    return caller


def add_challenge(response: Response) -> Response:
    """RFC 9110, 15.5.2: a 401 names the schemes that are accepted."""
    if response.status_code == 401 and "WWW-Authenticate" not in response.headers:
        response.headers["WWW-Authenticate"] = "Bearer" if _is_v3() else 'WSSE profile="UsernameToken", Bearer'
    return response


def is_under_api() -> bool:
    """True for the paths that need credentials, whether a route has them or not."""
    return request.path.strip("/").split("/")[0] == "api"


def _is_v3() -> bool:
    """The original has no WSSE there."""
    return request.path.strip("/").split("/")[:2] == ["api", "v3"]


def _header(sent: Mapping[str, Any], name: str) -> str | None:
    """A header by its name in WSGI, which hands its bytes over as Latin-1; ours are UTF-8."""
    value = sent.get(name)
    try:
        return value.encode("latin-1").decode() if value else None
    except UnicodeError:
        raise Unauthorized(f"{name} is not UTF-8") from None
