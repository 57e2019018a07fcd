"""What ends the start of a server or worker, since no waiting mends it."""

import os
import sys

from contactexport.backend import Backend
from contactexport.errors import DatabaseUnavailable, PoolerRefused, SettingsError


def check(backend: Backend) -> None:
    """Ends the process, with one line on standard error, when the URL of a database cannot be right.

    A database that does not answer now may do so later. A process of its own looks: the one that starts others has no
    connection, ever.
    """
    looking = os.fork()
    if looking == 0:
        status = 0
        try:
            status = _look(backend)
        finally:
            os._exit(status)
    if status := os.waitstatus_to_exitcode(os.waitpid(looking, 0)[1]):
        raise SystemExit(status)


def _look(backend: Backend) -> int:
    for database in backend.databases:
        try:
            with database.session():
                continue
        except (PoolerRefused, SettingsError) as refusal:
            print(f"contactexport: {refusal.text}", file=sys.stderr, flush=True)  # noqa: T201 - there may be no log yet
            return refusal.exit_code
        except DatabaseUnavailable:
            continue
    return 0
