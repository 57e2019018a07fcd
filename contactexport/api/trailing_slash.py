"""Every path answers with and without one trailing slash (contract, Request), directly and not by a redirect.

A redirect would lose the body of a POST, and with many clients the headers that authenticate.
"""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask


def init_app(app: Flask) -> None:
    """Takes the slash off before any route is looked for, so no route has to know of it."""
    app.wsgi_app = _without_slash(app.wsgi_app)  # type: ignore[assignment,method-assign] # the way Flask's manual shows


def _without_slash(application: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if len(path) > 1 and path.endswith("/"):
            environ["PATH_INFO"] = path[:-1]
        return application(environ, start_response)

    return answer
