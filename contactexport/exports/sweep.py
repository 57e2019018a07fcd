"""Starts feeds, wakes workers again for exports that are due and that no worker holds, and deletes what is old.

Any worker may sweep at any time, even twice: a worker that is woken in vain finds nothing to do.
"""

import logging

from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable
from contactexport.exports import files, notify, store, turn
from contactexport.feeds import notify as feed_notify
from contactexport.feeds import run as feed_run
from contactexport.feeds import store as feed_store
from contactexport.files import storage_check
from contactexport.queue.publisher import NOTIFY, NOTIFY_OF_FEED, SHORT_QUEUE
from contactexport.users import oauth_store, rate_limit
from contactexport.users import store as user_store

logger = logging.getLogger(__name__)


def sweep(context: Context, most_running: int = 1) -> int:
    """Starts feeds, publishes what is due, deletes what is old, prepares the coming months of the change log.

    Returns the number of messages for exports and deliveries that the queues lacked. Raises DatabaseUnavailable.
    """
    with context.database.transaction() as conn:
        notifications = [(NOTIFY, export_id) for export_id in notify.due(conn)]
        notifications += [(NOTIFY_OF_FEED, event_id) for event_id in feed_notify.due(conn)]
        rate_limit.forget_requests(conn)
        user_store.forget_old_nonces(conn, context.settings.wsse_window)
        oauth_store.forget_expired_tokens(conn)
        user_store.forget_ended_sessions(conn)
        store.forget_history(conn)
    feed_run.start_due(context)
    with context.database.transaction() as conn:
        for feed_id, reason in feed_store.note_late(conn):
            logger.warning("feed late: id=%d reason=%s", feed_id, reason)
    woken = turn.wake(context, deliveries=False, most_running=most_running)
    woken += turn.wake(context, deliveries=True, most_running=most_running)
    if woken:
        logger.info("workers woken: messages=%d", woken)
    waiting = context.queue.waiting(SHORT_QUEUE)
    # Each message that waits is taken for one of them.
    for task, number in notifications[waiting:] if waiting is not None else []:
        context.queue.publish(task, number)
    if storage_check.is_fit(context):  # in a wrong folder nothing is found, and files would be noted as deleted
        files.delete_expired(context)
        files.delete_orphans(context)
    _prepare_months(context)
    return woken


def _prepare_months(context: Context) -> None:
    """An outage of the contacts database does not stop the sweep, which only needs the exports' database."""
    for database in context.databases:
        try:
            with database.transaction() as conn:
                if not change_log.prepare_months(conn):
                    logger.info("months of the change log not prepared now: it is in use")
        except DatabaseUnavailable as error:
            if database is context.database:
                raise
            logger.warning("months of the change log not prepared: reason=%s", error.text)
