"""The tasks. Each calls one service, and waits while Postgres is away."""

import fcntl
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import worker_init

from contactexport import log_context
from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable, StorageUnfit
from contactexport.exports import notify as notify_export
from contactexport.exports import sweep as sweep_exports
from contactexport.exports import turn
from contactexport.feeds import notify as notify_feed_event
from contactexport.files import storage_check
from contactexport.queue.publisher import (
    DELIVER,
    EXPORTS_QUEUE,
    NOTIFY,
    NOTIFY_OF_FEED,
    RUN_EXPORT,
    SWEEP,
    SWEEPS_QUEUE,
)

PAUSE_SECONDS = 1.0
# How long a process with the wrong storage leaves messages to others.
UNFIT_SECONDS = 5

logger = logging.getLogger(__name__)


class Places:
    """How much one worker does at a time. Set before its pool starts, and the same in all processes of the pool.

    `most_running` exports of one user run at a time. By default one process is left for others.
    """

    def __init__(self, running_per_user: int | None) -> None:
        self._running_per_user = running_per_user
        self.most_running = running_per_user or 1
        self._most_deliveries = 1
        self.takes_sweeps = True
        # Shared by all processes. Each place is the lock on one byte, so a process that dies frees its place.
        self._taken = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker runs
        worker_init.connect(self._set_up, weak=False)

    @contextmanager
    def one_for_a_delivery(self) -> Iterator[bool]:
        """Holds a place while the block runs. Yields False if none is free.

        A worker that also runs exports leaves one process to them, if it has at least two.
        """
        place = None
        for one in range(self._most_deliveries):
            with suppress(OSError):  # another process has it
                fcntl.lockf(self._taken, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, one)
                place = one
                break
        try:
            yield place is not None
        finally:
            if place is not None:
                fcntl.lockf(self._taken, fcntl.LOCK_UN, 1, place)

    def _set_up(self, sender: Any, **_kwargs: Any) -> None:
        """Celery calls this when a worker knows its queues and has no processes yet."""
        queues = sender.app.amqp.queues.consume_from
        all_but_one = max(1, sender.concurrency - 1)
        self.most_running = self._running_per_user or all_but_one
        self._most_deliveries = all_but_one if EXPORTS_QUEUE in queues else sender.concurrency
        self.takes_sweeps = SWEEPS_QUEUE in queues


def register(app: Celery, context: Context, places: Places) -> None:
    """Adds the tasks to a Celery application."""
    # Not shared: a task works with this context, so it must not appear in another application of the process.

    @app.task(name=RUN_EXPORT, shared=False)
    def run(*_id_of_former_versions: int) -> None:
        work = partial(_take_turn, context, places, deliveries=False)
        _once_postgres_answers(context, work, partial(context.queue.publish, RUN_EXPORT))

    @app.task(name=DELIVER, shared=False)
    def deliver() -> None:
        work = partial(_take_turn, context, places, deliveries=True)
        _once_postgres_answers(context, work, partial(context.queue.publish, DELIVER))

    @app.task(name=NOTIFY, shared=False)
    def notify(export_id: int) -> None:
        again = partial(context.queue.publish, NOTIFY, export_id)
        _once_postgres_answers(context, partial(notify_export.notify, context, export_id), again)

    @app.task(name=NOTIFY_OF_FEED, shared=False)
    def notify_of_feed(event_id: int) -> None:
        again = partial(context.queue.publish, NOTIFY_OF_FEED, event_id)
        work = partial(notify_feed_event.notify, context, event_id, notify_export.RETRY_SECONDS)
        with log_context.about(log_context.new_id()):
            _once_postgres_answers(context, work, again)

    @app.task(name=SWEEP, shared=False)
    def sweep() -> None:
        work = partial(sweep_exports.sweep, context, places.most_running)
        _once_postgres_answers(context, work, context.queue.publish_sweep)


def _take_turn(context: Context, places: Places, *, deliveries: bool) -> None:
    with places.one_for_a_delivery() if deliveries else nullcontext(True) as free:
        done = free and turn.take_turn(context, deliveries=deliveries, most_running=places.most_running)
    storage_check.tell_once(context, None)
    if done:
        # Wakes a worker for exports that were passed over because their user had enough running. Only now, so that the
        # next delivery finds a free place.
        turn.wake(context, deliveries=deliveries, most_running=places.most_running)


def _once_postgres_answers(context: Context, work: Callable[[], object], publish_again: Callable[[], bool]) -> None:
    """Does the work. While Postgres is away this process keeps its message, and all others stay in the queue.

    A worker that is told to stop meanwhile publishes the message again for another one. So does a worker with the
    wrong storage. A process that waited asks for a sweep, because exports that were running have been abandoned.
    """
    waited = False
    while True:
        try:
            work()
        except DatabaseUnavailable as error:
            if not waited:
                logger.warning("waiting for Postgres: reason=%s", error.text)
            waited = True
            if context.stopping.wait(PAUSE_SECONDS):
                publish_again()
                return
        except StorageUnfit as unfit:
            storage_check.tell_once(context, unfit.text)
            context.stopping.wait(UNFIT_SECONDS)
            publish_again()
            return
        else:
            break
    if waited:
        logger.warning("Postgres is back")
        context.queue.publish_sweep()
