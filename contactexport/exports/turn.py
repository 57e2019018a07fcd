"""A worker that is woken takes the export, or the delivery, whose turn it is.

The rows decide which one, not the message. Choosing is only a hint. The advisory lock and the claim decide, and a
worker that is too late takes the next export.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.exports import lock, run, store
from contactexport.exports.accept import BUSY_LOCK_SECONDS
from contactexport.exports.lock import TRY_AGAIN_SECONDS
from contactexport.exports.models import Export
from contactexport.files import storage_check
from contactexport.queue.publisher import DELIVER, NOTIFY, QUEUE_OF_TASK, RUN_EXPORT

MAX_CHOSEN = 20  # that many other workers may be faster before the rows are read again
MAX_WOKEN = 1000

logger = logging.getLogger(__name__)


def take_turn(context: Context, *, deliveries: bool, most_running: int) -> bool:
    """Does the next attempt of the next export, and wakes a worker for what follows. False: nothing to do.

    This turn only writes a file for an FTP host. Its delivery has another turn. If the process dies before it wakes a
    worker for that, the sweep does it. Raises StorageUnfit, and DatabaseUnavailable when Postgres goes away (the next
    turn takes the export).
    """
    with context.database.reusable_session() as conn:
        storage_check.require(context, conn)
        with _claimed(conn, deliveries, most_running) as claimed:
            if claimed is None:
                logger.info("nothing to do: deliveries=%s", deliveries)
                return False
            export = run.attempt(context, conn, claimed, hand_over=not deliveries)
    # Only now that the lock is free: a worker that is woken earlier finds the export held.
    if export is not None:
        handed_over = export.waits_for_delivery and export.delivery_attempts == 0
        if handed_over or (export.due_at is not None and context.stopping.is_set()):
            context.queue.publish(DELIVER if export.waits_for_delivery else RUN_EXPORT)
        if export.notify_due_at is not None:  # it has just finished
            context.queue.publish(NOTIFY, export.id)
    return True


@contextmanager
def _claimed(conn: Connection, deliveries: bool, most_running: int) -> Iterator[Export | None]:
    give_up = time.monotonic() + BUSY_LOCK_SECONDS
    held_back = True
    while True:
        chosen = store.in_turn(conn, deliveries=deliveries, most_running=most_running, most=MAX_CHOSEN)
        for export_id, setting_key in chosen:
            with lock.held_for_session(conn, setting_key) as held:
                claimed = store.claim(conn, export_id, setting_key, deliveries=deliveries) if held else None
                if claimed is not None:
                    yield claimed
                    return
        if time.monotonic() >= give_up or not (chosen or held_back):
            break
        # One that is released right before this question was still held when the rows were read: they are read again.
        held_back = store.has_held_back(conn)
        if chosen or held_back:
            time.sleep(TRY_AGAIN_SECONDS)
    yield None


def wake(context: Context, *, deliveries: bool, most_running: int) -> int:
    """Publishes the messages that the queue lacks, and returns their number. Raises DatabaseUnavailable."""
    with context.database.autocommit() as conn:
        startable = len(store.in_turn(conn, deliveries=deliveries, most_running=most_running, most=MAX_WOKEN))
    task = DELIVER if deliveries else RUN_EXPORT
    waiting = context.queue.waiting(QUEUE_OF_TASK[task]) if startable else None
    woken = 0
    while waiting is not None and waiting + woken < startable and context.queue.publish(task):
        woken += 1
    return woken
