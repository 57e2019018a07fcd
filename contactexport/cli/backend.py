"""How a command gets the parts it works with."""

import getpass
from typing import cast

from flask import current_app

from contactexport.backend import Backend
from contactexport.models import Caller


def current_backend() -> Backend:
    """The backend of the running application."""
    return cast(Backend, current_app.extensions["contactexport"])


def current_operator() -> Caller:
    """Who runs this command: whoever may do so sees every team's exports."""
    return Caller(f"cli:{getpass.getuser()}", operator=True)
