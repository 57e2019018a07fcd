"""What a worker does once it is woken: the export, or the delivery, whose turn it is.

The rows say which, not the message. Choosing it is a hint only: the advisory lock and the claim decide, and whoever
comes too late takes the next one.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from contactexport import export_lock
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.db.connection import Connection
from contactexport.export_lock import TRY_AGAIN_SECONDS
from contactexport.models import Export
from contactexport.services import check_storage, notify_export, run_export, wake_workers
from contactexport.services.request_export import BUSY_LOCK_SECONDS

MOST_CHOSEN = 20  # as many others may be faster before the rows are asked again

logger = logging.getLogger(__name__)


def take_turn(backend: Backend, *, deliveries: bool, most_running: int) -> bool:
    """Does the next attempt of the next export, and wakes whoever goes on with it; False when there is nothing to do.

    A file for an FTP host is only written here: its delivery has a turn of its own. If the process dies before it has
    woken anybody for that, the sweep does.
    Raises DatabaseUnavailable when Postgres breaks off (the export is taken up again by the next turn), StorageUnfit.
    """
    with backend.database.kept_session() as conn:
        check_storage.require(backend, conn)
        with _claimed(conn, deliveries, most_running) as claimed:
            if claimed is None:
                logger.info("nothing to do: deliveries=%s", deliveries)
                return False
            export = run_export.attempt(backend, conn, claimed, hand_over=not deliveries)
    # Only now, without the lock: whoever is woken earlier finds the export held.
    if export is not None:
        handed_over = export.waits_for_delivery and export.delivery_attempts == 0
        if handed_over or (export.due_at is not None and backend.stopping.is_set()):
            wake_workers.wake_for(backend, export)
        notify_export.publish_due(backend, export)
    return True


@contextmanager
def _claimed(conn: Connection, deliveries: bool, most_running: int) -> Iterator[Export | None]:
    give_up = time.monotonic() + BUSY_LOCK_SECONDS
    while True:
        chosen = export_repository.in_turn(conn, deliveries=deliveries, most_running=most_running, most=MOST_CHOSEN)
        for export_id, setting_key in chosen:
            with export_lock.held_for_session(conn, setting_key) as held:
                claimed = export_repository.claim(conn, export_id, setting_key) if held else None
                if claimed is not None:
                    yield claimed
                    return
        if time.monotonic() >= give_up or not (chosen or export_repository.has_held_back(conn)):
            break
        time.sleep(TRY_AGAIN_SECONDS)
    yield None
