"""What holds for every page: who may see it and how often, what other sites may not do, headers, and error pages."""

import gzip
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, make_response, redirect, render_template, request, url_for
from flask import session as form_session
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, validate_csrf
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as AnyResponse
from wtforms import ValidationError

from contactexport import audit
from contactexport.api.authentication import admit
from contactexport.api.query_values import query_of, refuse_nul
from contactexport.console import session
from contactexport.console.blueprint import Viewer, console, current_context, current_viewer
from contactexport.errors import ContactExportError, TooManyRequests, UnknownExport
from contactexport.feeds.errors import UnknownFeed
from contactexport.users.authenticate import token_hash
from contactexport.users.errors import ReadOnly

COOKIE = "contactexport_console"  # the id of the session
FORM_COOKIE = "contactexport_console_form"  # signed: the CSRF token and messages for the next page
SAFE_METHODS = frozenset({"GET", "HEAD"})
OWN_SITES = frozenset({"same-origin", "none"})  # Sec-Fetch-Site of our pages, and of what somebody typed
BOUND = "of"  # in the form cookie: the session that it belongs to
POLLED = frozenset({"console.overview", "console.exports", "console.export", "console.doctor_lines"})
POLLS_PER_MINUTE = 900  # thirty open pages, each every two seconds
# Whoever has used up the requests of a minute may still sign out.
UNCOUNTED = frozenset({"console.sign_out", "console.sign_out_everywhere", "console.end_session"})
OPEN_TO_ALL = frozenset({"console.static", "console.sign_in", "console.sign_in_once"})
OPEN_TO_VIEWERS = OPEN_TO_ALL | {
    "console.sign_out",
    "console.sign_out_everywhere",
    "console.preview_export",
    "console.end_session",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
YEAR_SECONDS = 31_536_000

logger = logging.getLogger(__name__)


class FormSession(SecureCookieSessionInterface):
    """Flask's signed cookie, with a key derived from ours. The API never opens it, so it gets no cookie."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Signs with the same key in every process. The key is read on first use."""
        if app.secret_key is None:
            app.secret_key = current_context().secrets.derived_key("console")
        return super().get_signing_serializer(app)

    def open_session(self, app: Flask, request: Any) -> Any:
        """The values of the cookie. Empty outside of the console, where nobody asks for them."""
        if not request.path.startswith("/console"):
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Sets the cookie if the page has changed it."""
        if session.modified:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Only by https, if the request came so."""
        return request.is_secure


@console.before_request
def refuse_odd_texts() -> None:
    """Of the path, the query and the form, before anything reads them. Raises InvalidRequest."""
    for values in ((request.view_args or {}).items(), query_of(request), request.form.items(multi=True)):
        refuse_nul(values)


@console.before_request
def require_viewer() -> AnyResponse | None:
    """Finds who is signed in. Sends others to the sign-in, and refuses what a viewer may not do."""
    if request.endpoint == "console.static":
        return None
    if session_id := request.cookies.get(COOKIE):
        _find_viewer(session_id)
    if "viewer" in g:
        _count_request()
    elif request.endpoint not in OPEN_TO_ALL:
        return _to_sign_in()
    if request.method in SAFE_METHODS:
        return None
    _refuse_other_sites()
    if request.endpoint not in OPEN_TO_VIEWERS and not current_viewer().may_act:
        raise ReadOnly
    return None


def _find_viewer(session_id: str) -> None:
    """Finds whose session it is. A form cookie that belongs to another session loses its token.

    Another host of the same domain could plant a form cookie, whose token it knows.
    """
    context = current_context()
    with context.database.autocommit() as conn:
        found = session.find(conn, session_id)
    if found is None:
        return
    g.caller, catalogue_version = found
    g.viewer = Viewer(g.caller)
    context.catalogue.note_version(catalogue_version)
    bound_to = token_hash(session_id).hex()
    if form_session.get(BOUND) != bound_to:
        form_session.pop("csrf_token", None)
        form_session[BOUND] = bound_to


def _count_request() -> None:
    """Counts the request as the API does. Parts of pages that reload themselves have a limit of their own."""
    g.is_poll = (
        request.endpoint in POLLED
        and "HX-Request" in request.headers
        and request.method in SAFE_METHODS
        and "part" in request.args
    )
    if g.is_poll:
        context = current_context()
        polls = replace(g.caller, name=f'"parts" of {g.caller.name}', requests_per_minute=POLLS_PER_MINUTE)
        counted = context.rate_limit_reserve.count_request(context.database, polls, POLLS_PER_MINUTE)
        if counted.refused:
            raise TooManyRequests("Too many open pages", counted.retry_after)
    elif request.endpoint not in UNCOUNTED:
        admit(g.caller)


def _refuse_other_sites() -> None:
    """Raises CSRFError for a form that is not of our pages. Not all browsers send Sec-Fetch-Site, and none by HTTP."""
    if request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
        raise CSRFError("a page of another site sends this")
    try:
        validate_csrf(request.form.get("csrf_token") or request.headers.get("X-CSRFToken"))
    except ValidationError as error:
        raise CSRFError(str(error)) from None


@contextmanager
def alone(work: str) -> Iterator[None]:
    """Runs work that takes seconds, for each user one at a time in this process. Raises TooManyRequests."""
    name = current_viewer().name
    end = current_context().downloads.begin(f'"{work}" of {name}', 1, f"{work} of yours is still running")
    try:
        yield
    finally:
        end()


def _to_sign_in() -> AnyResponse:
    url = url_for("console.sign_in")
    if "HX-Request" in request.headers:  # a part of a page that reloads itself: the whole page is to go there
        answer = make_response("", 200)
        answer.headers["HX-Redirect"] = url
        return answer
    here = request.full_path.removesuffix("?").removesuffix("/").replace("/?", "?", 1)
    return redirect(
        f"{url}?{urlencode({'next': here})}" if request.method in SAFE_METHODS and len(here) < 1000 else url, 303
    )


def note_action(event: str, **values: Any) -> None:
    """Writes a line of the audit log: who did it in the console, and from where."""
    audit.note(event, user=current_viewer().name, address=g.address, door="console", **values)


@console.after_request
def add_headers(response: AnyResponse) -> AnyResponse:
    """Own scripts and styles only. No frame, no referrer."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    if request.endpoint == "console.static" and response.status_code in {200, 304} and "v" in request.args:
        response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    if request.endpoint == "console.static" and response.status_code == 200:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"] and "Range" not in request.headers:
            response.direct_passthrough = False
            response.set_data(_compressed(response.get_data()))
            response.headers["Content-Encoding"] = "gzip"
            del response.headers["ETag"]  # that of the file
    return response


@lru_cache(maxsize=32)
def _compressed(content: bytes) -> bytes:
    """Static files only: a compressed page would tell a listener, by its size, what else is in it beside a filter."""
    return gzip.compress(content, mtime=0)


@console.errorhandler(Exception)
def page_about(raised: Exception) -> Response:
    """Answers an error as a page, without internals."""
    headers: dict[str, str] = {}
    if isinstance(raised, CSRFError):
        status, text = 400, "This form is too old, or comes from another page. Go back, reload and try again."
    elif isinstance(raised, HTTPException):
        status = raised.code or 500
        text = "There is no such page." if status == 404 else HTTPStatus(status).phrase
    elif isinstance(raised, UnknownExport):
        status, text = 404, "There is no such export, or it belongs to another team."
    elif isinstance(raised, UnknownFeed):
        status, text = 404, "There is no such feed, or it belongs to another team."
    elif isinstance(raised, ContactExportError) and raised.http_status not in {500, 503}:
        status, text = raised.http_status, raised.text
        if isinstance(raised, TooManyRequests):
            headers["Retry-After"] = str(raised.retry_after)
            text = f"{raised.text}. Try again in {raised.retry_after} seconds."
    elif isinstance(raised, ContactExportError) and raised.http_status == 503:
        logger.error("unavailable: %s", raised.text)
        status, text = 503, "The service is not available now. Try again in a moment."
    else:
        logger.error("unexpected error", exc_info=raised)
        status, text = 500, "Something went wrong here. The log of the server says what."
    page = make_response(render_template("console/error.html", status=status, text=text), status)
    page.headers.update(headers)
    return page


@console.route("/<path:_path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def unknown_page(_path: str) -> Response:
    """There is no such page. As a page, not in the envelope of the API."""
    raise NotFound
