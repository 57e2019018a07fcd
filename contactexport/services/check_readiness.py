"""Tells whether this process could do its work now: each part it depends on, by name."""

import logging
from collections.abc import Callable

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.errors import ContactExportError, StorageUnfit
from contactexport.services import check_storage

logger = logging.getLogger(__name__)


def check(backend: Backend) -> dict[str, str]:
    """`ok` or `unavailable` for `database` and `broker`, and for `contacts database` where that is another one.

    `storage` is `ok`, or tells in two or three words what is wrong with the folder or the key.
    """
    parts: dict[str, Callable[[], None]] = {"database": lambda: migrate.check(backend.database)}
    if backend.contacts is not backend.database:
        parts["contacts database"] = lambda: migrate.check(backend.contacts)
    parts["storage"] = lambda: check_storage.require_storage(backend)
    parts["broker"] = backend.queue.ping
    return {name: _state(name, probe) for name, probe in parts.items()}


def _state(name: str, probe: Callable[[], None]) -> str:
    try:
        probe()
    except ContactExportError as error:
        logger.warning("not ready: %s: %s", name, error.text)
        return error.state if isinstance(error, StorageUnfit) else "unavailable"
    return "ok"
