"""Headers that keep browsers from doing more with an answer than showing it."""

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask

HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
HTTPS_ONLY = ("Strict-Transport-Security", "max-age=31536000")


def init_app(app: Flask) -> None:
    """Adds the headers to every answer that does not set them itself."""
    app.wsgi_app = _adding(app.wsgi_app)  # type: ignore[assignment,method-assign] # the way Flask's manual shows


def _adding(application: WSGIApplication) -> WSGIApplication:
    """Around the whole application: Flask checks each header anew, which took 2 % of a request for an export."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            given = {name for name, _ in headers}
            headers += [header for header in HEADERS if header[0] not in given]
            if environ["wsgi.url_scheme"] == "https" and HTTPS_ONLY[0] not in given:  # RFC 6797, 7.2
                headers.append(HTTPS_ONLY)
            return start_response(status, headers, *exc_info)

        return application(environ, start)

    return answer
