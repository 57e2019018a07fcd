"""Every path under /api needs credentials. Without them the answer is 401, whatever else is wrong with the request.

`flask.g.caller` is the user who sends the request. `flask.g.started` is when it came in (perf_counter),
`flask.g.address` the address of the client, `flask.g.request_id` the id of the request.
`flask.g.api_version` is the part of the path after /api, such as "v3". It is None for other paths, which are open.
"""

import time
from typing import cast

from flask import Flask, current_app, g, request

from contactexport import log_context
from contactexport.api.proxies import TRUSTED_PROXIES, first_untrusted
from contactexport.api.query_values import query_of, refuse_nul
from contactexport.context import Context
from contactexport.errors import TooManyRequests, Unauthorized
from contactexport.users.authenticate import authenticate
from contactexport.users.errors import ReadOnly
from contactexport.users.models import Caller

# The description of the API holds no user's data. It shows newcomers and tools how to authenticate.
OPEN_PATHS = frozenset({"/api/v2/openapi.json", "/api/v3/openapi.json"})


def init_app(app: Flask) -> None:
    """Guards the paths of the API. All others stay open, such as /healthz."""
    app.before_request(require_user)


def require_user() -> None:
    """Runs before the route does, so unknown paths and wrong methods are refused alike.

    Raises Unauthorized, TooManyRequests, ReadOnly, InvalidRequest.
    """
    g.started = time.perf_counter()
    g.request_id = log_context.begin(request.headers.get(log_context.HEADER))
    g.address = request.remote_addr or None  # none behind a Unix socket
    if (forwarded_for := request.headers.get("X-Forwarded-For")) is not None:
        g.address = first_untrusted(g.address or "", forwarded_for, current_app.extensions.get(TRUSTED_PROXIES, ()))
    log_context.note_address(g.address)
    first, _, rest = request.path.strip("/").partition("/")
    g.api_version = rest.split("/")[0] if first == "api" else None
    if g.api_version is None or request.path.removesuffix("/") in OPEN_PATHS:
        return
    wsse = ""
    if g.api_version != "v3":  # the original accepts no WSSE there
        wsse = request.headers.get("X-WSSE") or request.headers.get("WSSE") or ""
    try:
        wsse = wsse.encode("latin-1").decode()  # WSGI decodes headers as Latin-1
    except UnicodeError:
        raise Unauthorized("the WSSE header is not UTF-8") from None
    admit(authenticate(current_context(), wsse, request.headers.get("Authorization")))
    if g.caller.viewer and request.method not in {"GET", "HEAD"}:
        raise ReadOnly
    # An id with NUL is refused like any other text that is no id. Bodies are read by request_json and request_form.
    refuse_nul(value for value in (request.view_args or {}).items() if not value[0].endswith("_id"))
    refuse_nul(query_of(request))


def admit(caller: Caller) -> None:
    """Counts the request as one of this user's. Raises TooManyRequests."""
    context = current_context()
    g.caller = caller
    limit = context.settings.requests_per_minute
    g.rate_limit = context.rate_limit_reserve.count_request(context.database, caller, limit)
    if g.rate_limit.refused:
        raise TooManyRequests(f"More than {g.rate_limit.limit} requests in a minute", g.rate_limit.retry_after)


def current_context() -> Context:
    """The context of the running application."""
    return cast(Context, current_app.extensions["contactexport"])
