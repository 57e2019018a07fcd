"""Finds what fell by the wayside: for exports that are due and that no worker holds, workers are woken again.

Any worker may do it, at any time and twice: a message too many finds nothing to do.
"""

import logging

from contactexport.backend import Backend
from contactexport.db import (
    change_repository,
    limit_repository,
    notification_repository,
    oauth_repository,
    user_repository,
)
from contactexport.errors import DatabaseUnavailable
from contactexport.export_queue import SHORT_QUEUE
from contactexport.services import check_storage, delete_files, wake_workers

logger = logging.getLogger(__name__)


def sweep(backend: Backend, most_running: int = 1) -> int:
    """Wakes workers for what is due, deletes what is old, prepares the coming months of the change log.

    Returns how many wake-ups for exports and deliveries the queues lacked. Raises DatabaseUnavailable.
    """
    with backend.database.transaction() as conn:
        notifications = notification_repository.due(conn)
        limit_repository.forget_requests(conn)
        user_repository.forget_old_nonces(conn, backend.settings.wsse_window)
        oauth_repository.forget_expired_tokens(conn)
    woken = wake_workers.wake(backend, deliveries=False, most_running=most_running)
    woken += wake_workers.wake(backend, deliveries=True, most_running=most_running)
    if woken:
        logger.info("workers woken: messages=%d", woken)
    _publish_notifications(backend, notifications)
    if check_storage.is_fit(backend):  # elsewhere nothing would be there to delete, and be noted as deleted
        delete_files.delete_expired(backend)
        delete_files.delete_orphans(backend)
    _prepare_months(backend)
    return woken


def _publish_notifications(backend: Backend, due: list[int]) -> None:
    """Those due longest first; as many as messages wait are taken for published."""
    waiting = backend.queue.waiting(SHORT_QUEUE)
    for export_id in due[waiting:] if waiting is not None else []:
        backend.queue.publish_notification(export_id)


def _prepare_months(backend: Backend) -> None:
    """The sweep itself needs the exports' database alone: it is no reason to wait when that of the contacts is away."""
    for database in backend.databases:
        try:
            with database.transaction() as conn:
                if not change_repository.prepare_months(conn):
                    logger.info("months of the change log not prepared now: it is in use")
        except DatabaseUnavailable as error:
            if database is backend.database:
                raise
            logger.warning("months of the change log not prepared: reason=%s", error.text)
