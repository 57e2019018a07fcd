"""The tasks: each makes one service call, and waits as long as Postgres is away."""

import logging
from collections.abc import Callable
from functools import partial

from celery import Celery

from contactexport.backend import Backend
from contactexport.errors import DatabaseUnavailable, StorageUnfit
from contactexport.export_queue import DELIVER, NOTIFY, RUN_EXPORT, SWEEP
from contactexport.services import check_storage, notify_export, sweep_exports, take_turn, wake_workers
from contactexport.worker.places import Places

PAUSE_SECONDS = 1.0
# How long a process that must not work with files leaves messages to others.
UNFIT_SECONDS = 5

logger = logging.getLogger(__name__)


def register(app: Celery, backend: Backend, places: Places) -> None:
    """Adds the tasks to a Celery application."""
    # Not shared: a task works with this backend, and must not appear in another application of the process.

    @app.task(name=RUN_EXPORT, shared=False)
    def run(*_id_of_former_versions: int) -> None:
        _once_postgres_answers(backend, partial(_export, backend, places), backend.queue.publish_export)

    @app.task(name=DELIVER, shared=False)
    def deliver() -> None:
        _once_postgres_answers(backend, partial(_deliver, backend, places), backend.queue.publish_delivery)

    @app.task(name=NOTIFY, shared=False)
    def notify(export_id: int) -> None:
        again = partial(backend.queue.publish_notification, export_id)
        _once_postgres_answers(backend, partial(notify_export.notify, backend, export_id), again)

    @app.task(name=SWEEP, shared=False)
    def sweep() -> None:
        work = partial(sweep_exports.sweep, backend, places.most_running)
        _once_postgres_answers(backend, work, backend.queue.publish_sweep)


def _export(backend: Backend, places: Places) -> None:
    """Afterwards it is the turn of those that were passed over because their user had enough running."""
    done = take_turn.take_turn(backend, deliveries=False, most_running=places.most_running)
    check_storage.tell_once(backend, None)
    if done:
        wake_workers.wake(backend, deliveries=False, most_running=places.most_running)


def _deliver(backend: Backend, places: Places) -> None:
    with places.one_for_a_delivery() as free:
        done = free and take_turn.take_turn(backend, deliveries=True, most_running=places.most_running)
    check_storage.tell_once(backend, None)
    if done:  # only now, so that whoever is woken finds a place
        wake_workers.wake(backend, deliveries=True, most_running=places.most_running)


def _once_postgres_answers(backend: Backend, work: Callable[[], object], publish_again: Callable[[], bool]) -> None:
    """While Postgres is away the message stays with this process, and all others stay in the queue.

    A worker that is told to stop meanwhile gives the message back, and so does one whose storage is not the right one:
    another may have it. The first to find Postgres again asks for a sweep,
    since what was running has been left.
    """
    waited = False
    while True:
        try:
            work()
        except DatabaseUnavailable as error:
            if not waited:
                logger.warning("waiting for Postgres: reason=%s", error.text)
            waited = True
            if backend.stopping.wait(PAUSE_SECONDS):
                publish_again()
                return
        except StorageUnfit as unfit:
            check_storage.tell_once(backend, unfit.text)
            backend.stopping.wait(UNFIT_SECONDS)
            publish_again()
            return
        else:
            break
    if waited:
        logger.warning("Postgres is back")
        backend.queue.publish_sweep()
