"""What ends the start of a server or worker, since no waiting mends it."""

import sys

from contactexport.backend import Backend
from contactexport.errors import DatabaseUnavailable, PoolerRefused, SettingsError


def check(backend: Backend) -> None:
    """Ends the process, with one line on standard error, when the URL of a database cannot be right.

    A database that does not answer now may do so later. Leaves no connection open, as processes may be forked next.
    """
    for database in backend.databases:
        try:
            with database.session():
                continue
        except (PoolerRefused, SettingsError) as refusal:
            print(f"contactexport: {refusal.text}", file=sys.stderr)  # noqa: T201 - a log may not be set up yet
            raise SystemExit(refusal.exit_code) from None
        except DatabaseUnavailable:
            continue
