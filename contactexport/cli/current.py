"""What commands take from the running application."""

import getpass
from typing import cast

from flask import current_app

from contactexport.context import Context
from contactexport.users.models import Caller


def current_context() -> Context:
    """The context of the running application."""
    return cast(Context, current_app.extensions["contactexport"])


def current_operator() -> Caller:
    """The system user who runs this command. Anybody who can run it sees the exports of every team."""
    return Caller(f"cli:{getpass.getuser()}", operator=True)
