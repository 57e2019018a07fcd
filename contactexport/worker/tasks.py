"""The tasks: ids in, one service call."""

import logging

from celery import Celery

from contactexport.backend import Backend
from contactexport.errors import DatabaseUnavailable, StorageUnfit, UnknownExport
from contactexport.export_queue import NOTIFY, RUN_EXPORT, SWEEP
from contactexport.services import check_storage, notify_export, run_export, sweep_exports

# How long a process that must not work with files leaves messages to others.
UNFIT_SECONDS = 5

logger = logging.getLogger(__name__)


def register(app: Celery, backend: Backend) -> None:
    """Adds the tasks to a Celery application. An outage is logged in one line; the sweep comes back to it."""
    # Not shared: a task works with this backend, and must not appear in another application of the process.

    @app.task(name=RUN_EXPORT, shared=False)
    def run(export_id: int) -> None:
        try:
            notify_export.publish_due(backend, run_export.run(backend, export_id))
            check_storage.tell_once(backend, None)
        except StorageUnfit as unfit:
            check_storage.tell_once(backend, unfit.text)
            backend.stopping.wait(UNFIT_SECONDS)
            backend.queue.publish(export_id)
        except (DatabaseUnavailable, UnknownExport) as error:
            logger.warning("export not run: id=%s reason=%s", export_id, error.text)

    @app.task(name=NOTIFY, shared=False)
    def notify(export_id: int) -> None:
        try:
            notify_export.notify(backend, export_id)
        except DatabaseUnavailable as error:
            logger.warning("no notification: id=%s reason=%s", export_id, error.text)

    @app.task(name=SWEEP, shared=False)
    def sweep() -> None:
        try:
            sweep_exports.sweep(backend)
        except DatabaseUnavailable as error:
            logger.warning("no sweep: reason=%s", error.text)
