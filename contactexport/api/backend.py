"""How a route gets the parts it works with."""

from typing import cast

from flask import current_app

from contactexport.backend import Backend


def current_backend() -> Backend:
    """The backend of the running application."""
    return cast(Backend, current_app.extensions["contactexport"])
