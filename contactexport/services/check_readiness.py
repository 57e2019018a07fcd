"""Tells whether this process could do its work now: each part it depends on, by name.

The broker is told of, too, but without it exports are accepted and run: the next sweep finds them.
"""

import logging
from collections.abc import Callable, Mapping

from contactexport.backend import Backend
from contactexport.db import migrate, readiness_repository
from contactexport.errors import ContactExportError, DatabaseInTrouble, StorageUnfit
from contactexport.services import check_storage

DISK_FULL = "disk full"

logger = logging.getLogger(__name__)


def check(backend: Backend) -> dict[str, str]:
    """`ok`, `unavailable` or `disk full` for `database` and `broker`, and for `contacts database` where that is another
    one.

    `storage` is `ok`, or tells in two or three words what is wrong with the folder or the key.
    """
    parts: dict[str, Callable[[], None]] = {"database": lambda: _check_database(backend)}
    if backend.contacts is not backend.database:
        parts["contacts database"] = lambda: migrate.check(backend.contacts)
    parts["storage"] = lambda: check_storage.require_storage(backend)
    parts["broker"] = backend.queue.ping
    return {name: _state(name, probe) for name, probe in parts.items()}


def failing(states: Mapping[str, str]) -> list[str]:
    """The parts without which nothing is accepted and that do not work."""
    return [name for name, state in states.items() if state != "ok" and name != "broker"]


def _check_database(backend: Backend) -> None:
    migrate.check(backend.database)
    with backend.database.transaction() as conn:
        readiness_repository.require_writable(conn)


def _state(name: str, probe: Callable[[], None]) -> str:
    try:
        probe()
    except ContactExportError as error:
        logger.warning("not ready: %s: %s", name, error.text)
        if isinstance(error, DatabaseInTrouble) and error.condition == DISK_FULL:
            return DISK_FULL
        return error.state if isinstance(error, StorageUnfit) else "unavailable"
    return "ok"
