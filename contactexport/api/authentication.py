"""Nobody gets an answer of /api without credentials: 401 comes before any other status.

`flask.g.user_name` is the caller afterwards.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from contactexport.api.backend import current_backend
from contactexport.errors import InvalidRequest, Outdated, Unauthorized
from contactexport.models import Caller
from contactexport.services import authenticate, limit_requests

# The description of the API holds nothing of anybody's; it tells newcomers and tools how to authenticate.
OPEN_PATH = "/api/v2/openapi.json"
CHALLENGE = 'WSSE profile="UsernameToken", Bearer'
# Their views call `answered_for_caller`.
AUTHENTICATING_ENDPOINTS = frozenset({"contact.getchanges", "export.status"})


def init_app(app: Flask) -> None:
    """Guards the paths of the API; all others, such as /healthz, stay open."""
    app.before_request(require_user)
    app.after_request(add_challenge)


def require_user() -> None:
    """Runs before the route is looked at, so unknown paths and wrong methods are refused alike.

    Raises Unauthorized, TooManyRequests.
    """
    if request.endpoint in AUTHENTICATING_ENDPOINTS or request.path == OPEN_PATH:
        return
    if request.path.strip("/").partition("/")[0] == "api":
        _authenticated()
        limit_requests.count_request(current_backend(), g.user_name)


def answered_for_caller(answer: Callable[[Caller], Response]) -> Response:
    """The answer for whoever sends this request, in one round trip to the database if this process remembers the token.

    Then `answer` has its statement prove the caller, and raises Outdated if it does not. Whatever it refuses before
    that, it refuses again once the caller is authenticated, for what it has looked at may be outdated as well.
    Raises Unauthorized, TooManyRequests, and what `answer` does.
    """
    remembered = _remembered_with_permit()
    if remembered is None:
        caller = _authenticated()
        limit_requests.count_request(current_backend(), caller.name)
        return answer(caller)
    g.user_name = remembered.name
    try:
        return answer(remembered)
    except HTTPException:
        _authenticated()
        raise
    except (InvalidRequest, Outdated):
        return answer(_authenticated())


def add_challenge(response: Response) -> Response:
    """RFC 9110, 15.5.2: a 401 names the schemes that are accepted."""
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = CHALLENGE
    return response


def _remembered_with_permit() -> Caller | None:
    """None as well when the caller's requests have to be counted: who is refused by that must be known for certain."""
    wsse, authorization = _credentials()
    if wsse:
        return None
    backend = current_backend()
    caller = authenticate.remembered(backend, authorization)
    return caller if caller and backend.permits.take(caller.name) else None


def _authenticated() -> Caller:
    g.user_name = None
    g.user_name = authenticate.authenticate(current_backend(), *_credentials())
    return Caller(g.user_name)


def _credentials() -> tuple[str | None, str | None]:
    """The header of WSSE, by either name, and that of HTTP itself."""
    sent = request.environ
    wsse = _header(sent, "HTTP_X_WSSE") or _header(sent, "HTTP_WSSE")
    return wsse, _header(sent, "HTTP_AUTHORIZATION")


def _header(sent: Mapping[str, Any], name: str) -> str | None:
    """A header by its name in WSGI, which hands its bytes over as Latin-1; ours are UTF-8."""
    value = sent.get(name)
    try:
        return value.encode("latin-1").decode() if value else None
    except UnicodeError:
        raise Unauthorized(f"{name} is not UTF-8") from None
