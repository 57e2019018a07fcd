"""The Celery application that workers run: the queue's, with the tasks and the clock of the sweep."""

from typing import Any

from celery import Celery, bootsteps
from celery.worker import state

from contactexport.backend import Backend
from contactexport.worker import tasks


def worker_app(backend: Backend) -> Celery:
    """The application of `celery -A celery_worker worker`."""
    app = backend.queue.celery
    tasks.register(app, backend)
    app.steps["worker"].update({sweep_clock(backend), EndWhenIdle})
    return app


class EndWhenIdle(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """A worker step for the end: when no export is running, the pool's processes are not waited for.

    A pool that ends by itself sleeps for a second here and there; from this point on no message is taken any more.
    """

    def include(self, worker: Any) -> bool:
        """Stands before the pool, which otherwise begins to end by itself."""
        worker.steps.insert(0, self)
        return True

    def close(self, worker: Any) -> None:
        """Called once the worker has been told to end."""
        if not state.reserved_requests:
            worker.pool.terminate()


def sweep_clock(backend: Backend) -> type[bootsteps.StartStopStep]:
    """A worker step that asks for a sweep at its start and then regularly; it opens no database connection itself.

    Every worker has one, so no scheduler has to run beside them, and it does not matter which of them dies.
    """

    class SweepClock(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
        requires = ("celery.worker.components:Timer",)

        def start(self, worker: Any) -> None:
            backend.queue.publish_sweep()
            self.entry = worker.timer.call_repeatedly(backend.settings.sweep_interval, backend.queue.publish_sweep)

        def stop(self, _worker: Any) -> None:
            self.entry.cancel()

    return SweepClock
