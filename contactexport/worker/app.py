"""The Celery application of a worker: the one of the queue, with tasks and the clock of the sweep."""

from typing import Any

from celery import Celery, bootsteps
from celery.signals import worker_init

from contactexport import readiness
from contactexport.context import Context
from contactexport.worker import heartbeat, log, tasks
from contactexport.worker.shutdown import graceful_shutdown, listen_in_pool_processes


def worker_app(context: Context) -> Celery:
    """The application of `celery -A celery_worker worker`."""
    log.configure(context.settings.log_format)
    app = context.queue.celery
    places = tasks.Places(context.settings.running_per_user)
    tasks.register(app, context, places)
    app.steps["worker"].update({sweep_clock(context, places), graceful_shutdown(context)})
    listen_in_pool_processes(context)
    heartbeat.begin(context)
    worker_init.connect(lambda **_: readiness.require_usable_urls(context), weak=False)
    return app


def sweep_clock(context: Context, places: tasks.Places) -> type[bootsteps.StartStopStep]:
    """Returns a worker step that asks for a sweep at its start and then regularly. It opens no database connection.

    Every worker that takes sweeps has one. So no scheduler has to run beside them, and any of them may die.
    """

    class SweepClock(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
        requires = ("celery.worker.components:Timer",)

        def include_if(self, _worker: Any) -> bool:
            return places.takes_sweeps

        def start(self, worker: Any) -> None:
            context.queue.publish_sweep()
            self.entry = worker.timer.call_repeatedly(context.settings.sweep_interval, context.queue.publish_sweep)

        def stop(self, _worker: Any) -> None:
            self.entry.cancel()

    return SweepClock
