"""Wakes workers: one message for each export or delivery that may begin now."""

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.export_queue import DELIVERIES_QUEUE, EXPORTS_QUEUE
from contactexport.models import Export

MOST_WOKEN = 1000


def wake_for(backend: Backend, export: Export) -> None:
    """Wakes a worker for an export that is due now; if the broker does not take the message, the sweep comes back."""
    if export.waits_for_delivery:
        backend.queue.publish_delivery()
    else:
        backend.queue.publish_export()


def wake(backend: Backend, *, deliveries: bool, most_running: int) -> int:
    """Publishes as many messages as the queue lacks, and returns how many. Raises DatabaseUnavailable."""
    with backend.database.autocommit() as conn:
        startable = len(
            export_repository.in_turn(conn, deliveries=deliveries, most_running=most_running, most=MOST_WOKEN)
        )
    waiting = backend.queue.waiting(DELIVERIES_QUEUE if deliveries else EXPORTS_QUEUE) if startable else None
    publish = backend.queue.publish_delivery if deliveries else backend.queue.publish_export
    woken = 0
    while waiting is not None and waiting + woken < startable and publish():
        woken += 1
    return woken
