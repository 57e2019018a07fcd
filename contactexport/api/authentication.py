"""Nobody gets an answer of /api without credentials: 401 comes before any other status.

`flask.g.user_name` is the caller afterwards.
"""

from flask import Flask, Response, g, request

from contactexport.api.backend import current_backend
from contactexport.errors import Unauthorized
from contactexport.services import limit_requests
from contactexport.services.authenticate import authenticate

# The description of the API holds nothing of anybody's; it tells newcomers and tools how to authenticate.
OPEN_PATH = "/api/v2/openapi.json"
CHALLENGE = 'WSSE profile="UsernameToken", Bearer'


def init_app(app: Flask) -> None:
    """Guards the paths of the API; all others, such as /healthz, stay open."""
    app.before_request(require_user)
    app.after_request(add_challenge)


def require_user() -> None:
    """Runs before the route is looked at, so unknown paths and wrong methods are refused alike.

    Raises Unauthorized, TooManyRequests.
    """
    if request.path == OPEN_PATH:
        return
    if request.path.strip("/").partition("/")[0] == "api":
        wsse_header = _header("X-WSSE") or _header("WSSE")
        g.user_name = authenticate(current_backend(), wsse_header, _header("Authorization"))
        limit_requests.count_request(current_backend(), g.user_name)


def add_challenge(response: Response) -> Response:
    """RFC 9110, 15.5.2: a 401 names the schemes that are accepted."""
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response


def _header(name: str) -> str | None:
    """WSGI hands header bytes over as Latin-1; ours are UTF-8."""
    value = request.headers.get(name)
    try:
        return value.encode("latin-1").decode() if value else None
    except UnicodeError:
        raise Unauthorized(f"{name} is not UTF-8") from None
