"""What holds for every page: who may see it, tokens against cross-site requests, headers, and pages about errors."""

import gzip
import logging
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, make_response, redirect, render_template, request, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, validate_csrf
from itsdangerous import URLSafeTimedSerializer
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as AnyResponse
from wtforms import ValidationError

from contactexport import audit
from contactexport.console import session
from contactexport.console.blueprint import Viewer, console, current_context, current_viewer
from contactexport.errors import ContactExportError, TooManyRequests, UnknownExport
from contactexport.feeds.errors import UnknownFeed
from contactexport.users.errors import ReadOnly

COOKIE = "contactexport_console"  # the id of the session
FORM_COOKIE = "contactexport_console_form"  # signed: the CSRF token and messages for the next page
SAFE_METHODS = frozenset({"GET", "HEAD"})
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
def require_viewer() -> AnyResponse | None:
    """Finds who is signed in. Sends others to the sign-in, and refuses what a viewer may not do."""
    is_open = request.endpoint in OPEN_TO_ALL
    if request.endpoint == "console.static":
        return None
    g.is_poll = "HX-Request" in request.headers and request.method in SAFE_METHODS and "part" in request.args
    context = current_context()
    session_id = request.cookies.get(COOKIE)
    if session_id:
        with context.database.autocommit() as conn:
            found = session.find(conn, session_id)
        if found is not None:
            g.caller, catalogue_version = found
            g.viewer = Viewer(g.caller)
            context.catalogue.note_version(catalogue_version)
    if not is_open and "viewer" not in g:
        return _to_sign_in()
    if request.method in SAFE_METHODS:
        return None
    try:
        validate_csrf(request.form.get("csrf_token") or request.headers.get("X-CSRFToken"))
    except ValidationError as error:
        raise CSRFError(str(error)) from None
    if request.endpoint not in OPEN_TO_VIEWERS and not current_viewer().may_act:
        raise ReadOnly
    return None


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
