"""A browser of the console: a client that signs in and sends the CSRF token with its forms."""

import re
from contextvars import Context

from flask import Flask
from werkzeug.test import TestResponse

from contactexport import context as program
from contactexport.users import manage
from contactexport.users.store import Rights

TOKEN = re.compile(r'name="csrf_token" value="(?P<token>[^"]+)"')


class Browser:
    """Keeps cookies. `post` takes the CSRF token from the page that was opened last.

    Each request has contextvars of its own: pytest-flask opens an application context, whose `g` all would share.
    """

    def __init__(self, app: Flask, origin: str = "http://localhost") -> None:
        self.client = app.test_client()
        self.origin = origin
        self.csrf_token = ""

    def get(self, path: str, **options) -> TestResponse:
        return self._seen(Context().run(self.client.get, path, base_url=self.origin, buffered=True, **options))

    def post(self, path: str, *, follow: bool = False, **fields: str) -> TestResponse:
        sent = {"csrf_token": self.csrf_token} | fields
        options = {"data": sent, "follow_redirects": follow, "base_url": self.origin}
        return self._seen(Context().run(self.client.post, path, **options))

    def sign_in(self, name: str, token: str) -> TestResponse:
        self.get("/console/sign-in")
        answer = self.post("/console/sign-in", name=name, token=token)
        self.csrf_token = ""
        return answer

    def _seen(self, answer: TestResponse) -> TestResponse:
        if answer.mimetype == "text/html" and (found := TOKEN.search(answer.text)):
            self.csrf_token = found["token"]
        return answer


def signed_in(app: Flask, context: program.Context, name: str = "olga", **rights: object) -> Browser:
    """The browser of a new user who has signed in."""
    token = manage.add_user(context, name, with_wsse=False, with_token=True, rights=Rights(**rights)).token
    browser = Browser(app)
    assert browser.sign_in(name, token).status_code == 303
    browser.get("/console/")
    return browser
