"""Finds what fell by the wayside: exports that are due and that no worker holds are published again.

Any worker may do it, at any time and twice: a message too many finds nothing to do.
"""

import logging

from contactexport.backend import Backend
from contactexport.db import (
    change_repository,
    export_repository,
    limit_repository,
    notification_repository,
    oauth_repository,
    user_repository,
)
from contactexport.services import check_storage, delete_files, request_export

REPUBLISH_AFTER_SECONDS = 60.0

logger = logging.getLogger(__name__)


def sweep(backend: Backend) -> list[int]:
    """Publishes what is due, deletes what is old, prepares the coming months of the change log; returns the ids.

    Raises DatabaseUnavailable.
    """
    with backend.database.transaction() as conn:
        due = export_repository.take_due(conn, REPUBLISH_AFTER_SECONDS)
        notifications = notification_repository.due(conn)
        limit_repository.forget_requests(conn)
        user_repository.forget_old_nonces(conn, backend.settings.wsse_window)
        oauth_repository.forget_expired_tokens(conn)
    for export_id in due:
        request_export.publish(backend, export_id)
    for export_id in notifications:
        backend.queue.publish_notification(export_id)
    if due:
        logger.info("exports published again: ids=%s", due)
    if check_storage.is_fit(backend):  # elsewhere nothing would be there to delete, and be noted as deleted
        delete_files.delete_expired(backend)
        delete_files.delete_orphans(backend)
    for database in backend.databases:
        with database.transaction() as conn:
            if not change_repository.prepare_months(conn):
                logger.info("months of the change log not prepared now: it is in use")
    return due
