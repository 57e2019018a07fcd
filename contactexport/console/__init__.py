"""The console: the pages of operators, under /console. One module a page, all on one blueprint."""

from flask import Flask
from flask_wtf.csrf import CSRFProtect

from contactexport.console import (
    export,
    exports,
    feeds,
    guard,
    new_export,
    overview,
    shown,
    sign_in,
    system,
    users,
)
from contactexport.console.blueprint import console

PAGES = (overview, exports, export, new_export, feeds, users, system, sign_in, guard, shown)


def init_app(app: Flask) -> None:
    """Adds the console to an application. The API has no cookies, so only the console checks CSRF tokens."""
    app.config.update(
        SESSION_COOKIE_NAME=guard.FORM_COOKIE,
        SESSION_COOKIE_PATH="/console",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a page may stay open overnight
        WTF_CSRF_SSL_STRICT=False,  # it would need the Referer, which our pages do not send
    )
    app.session_interface = guard.FormSession()
    CSRFProtect(app)
    app.register_blueprint(console)
