"""Whether this process can work now (GET /readyz), and errors that must stop its start."""

import logging
import os
import sys
from collections.abc import Callable, Mapping

from contactexport.context import Context
from contactexport.db import migrate, writable
from contactexport.errors import (
    ContactExportError,
    DatabaseInTrouble,
    DatabaseUnavailable,
    PoolerRefused,
    SettingsError,
    StorageUnfit,
)
from contactexport.files import storage_check

DISK_FULL = "disk full"

logger = logging.getLogger(__name__)


def check(context: Context) -> dict[str, str]:
    """Returns the state of each part: `ok`, `unavailable` or `disk full`.

    The parts are `database`, `broker`, and `contacts database` if that is another one. `storage` is `ok`, or says in
    two or three words what is wrong with the folder or the key.
    """

    def check_database() -> None:
        migrate.check(context.database)
        with context.database.transaction() as conn:
            writable.require_writable(conn)

    parts: dict[str, Callable[[], None]] = {"database": check_database}
    if context.contacts is not context.database:
        parts["contacts database"] = lambda: migrate.check(context.contacts)
    parts["storage"] = lambda: storage_check.require_storage(context)
    parts["broker"] = context.queue.ping
    return {name: _state(name, probe) for name, probe in parts.items()}


def failing(states: Mapping[str, str]) -> list[str]:
    """Returns the names of the failing parts that are needed to accept an export."""
    return [name for name, state in states.items() if state != "ok" and name != "broker"]


def _state(name: str, probe: Callable[[], None]) -> str:
    try:
        probe()
    except ContactExportError as error:
        logger.warning("not ready: %s: %s", name, error.text)
        if isinstance(error, DatabaseInTrouble) and error.condition == DISK_FULL:
            return DISK_FULL
        return error.state if isinstance(error, StorageUnfit) else "unavailable"
    return "ok"


def require_usable_urls(context: Context) -> None:
    """Ends the process with one line on standard error if the URL of a database is unusable.

    A database that does not answer now may do so later. A child process connects, because a process that forks others
    must never have a connection.
    """
    child = os.fork()
    if child == 0:
        status = 0
        try:
            status = _try_connections(context)
        finally:
            os._exit(status)
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit(status)


def _try_connections(context: Context) -> int:
    for database in context.databases:
        try:
            with database.session():
                continue
        except (PoolerRefused, SettingsError) as refusal:
            print(f"contactexport: {refusal.text}", file=sys.stderr, flush=True)  # noqa: T201 - there may be no log yet
            return refusal.exit_code
        except DatabaseUnavailable:
            continue
    return 0
