"""The Celery application that workers run: the queue's, with the tasks and the clock of the sweep."""

from typing import Any

from celery import Celery, bootsteps
from celery.signals import worker_init

from contactexport.backend import Backend
from contactexport.services import check_start
from contactexport.worker import celery_log, tasks
from contactexport.worker.places import Places
from contactexport.worker.stopping import end_in_time, listen_in_pool_processes


def worker_app(backend: Backend) -> Celery:
    """The application of `celery -A celery_worker worker`."""
    celery_log.configure()
    app = backend.queue.celery
    places = Places(backend.settings.running_per_user)
    tasks.register(app, backend, places)
    app.steps["worker"].update({sweep_clock(backend, places), end_in_time(backend)})
    listen_in_pool_processes(backend)
    worker_init.connect(lambda **_: check_start.check(backend), weak=False)
    return app


def sweep_clock(backend: Backend, places: Places) -> type[bootsteps.StartStopStep]:
    """A worker step that asks for a sweep at its start and then regularly; it opens no database connection itself.

    Every worker that takes sweeps has one, so no scheduler has to run beside them, and it does not matter which of them
    dies.
    """

    class SweepClock(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
        requires = ("celery.worker.components:Timer",)

        def include_if(self, _worker: Any) -> bool:
            return places.takes_sweeps

        def start(self, worker: Any) -> None:
            backend.queue.publish_sweep()
            self.entry = worker.timer.call_repeatedly(backend.settings.sweep_interval, backend.queue.publish_sweep)

        def stop(self, _worker: Any) -> None:
            self.entry.cancel()

    return SweepClock
