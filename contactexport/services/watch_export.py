"""Stops work on an export that was cancelled, that another worker has taken over, or that this worker hands back."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.db.connection import Connection
from contactexport.errors import DatabaseUnavailable, ExportLost
from contactexport.models import Export

LOOK_SECONDS = 0.5

logger = logging.getLogger(__name__)


@contextmanager
def aborting_when_lost(backend: Backend, export: Export, abort: Callable[[], None]) -> Iterator[None]:
    """Calls `abort`, from another thread, within a second of the export being lost, or this worker stopped, while the
    block runs.

    And again until the block ends: a cancel that comes between two queries has no effect.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(backend, export, abort, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def require_wanted(backend: Backend, conn: Connection, export: Export) -> None:
    """Raises ExportLost when another attempt has the export, or when this worker is to stop."""
    export_repository.require_attempt(conn, export)
    if backend.stopping.is_set():
        raise ExportLost("the worker is stopped")


def _watch(backend: Backend, export: Export, abort: Callable[[], None], ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        try:
            with backend.database.transaction() as conn:
                require_wanted(backend, conn, export)
        except ExportLost:
            logger.warning("stopping: id=%d attempt=%d", export.id, export.attempt)
            abort()
        except DatabaseUnavailable:
            continue  # the attempt itself will notice, and knows what to do
