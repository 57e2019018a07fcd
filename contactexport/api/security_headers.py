"""Headers that keep browsers from doing more with an answer than showing it."""

from flask import Flask, Response, request

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
HTTPS_ONLY = "max-age=31536000"


def init_app(app: Flask) -> None:
    """Adds the headers to every answer that does not set them itself."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    given = {name for name, _ in response.headers}
    for name, value in HEADERS.items():
        if name not in given:
            response.headers.add(name, value)
    if request.is_secure:  # RFC 6797, 7.2: not over plain HTTP
        response.headers.setdefault("Strict-Transport-Security", HTTPS_ONLY)
    return response
