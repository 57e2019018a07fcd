"""A worker says regularly that it lives. One of its processes does it, because the worker itself has no connection."""

import fcntl
import os
import tempfile
import threading
from contextlib import suppress
from typing import Any

from celery.signals import worker_init, worker_process_init

from contactexport import workers
from contactexport.context import Context
from contactexport.db.errors import query_errors_translated
from contactexport.errors import ContactExportError

PAUSE_SECONDS = 10.0


def begin(context: Context) -> None:
    """Makes one process of the pool say that its worker lives: the one that holds a lock. If it dies, another one does.

    Call it after `listen_in_pool_processes`: the thread must not take the signal that the other one waits for.
    """
    lock = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker runs
    worker = os.getpid()
    pause = min(PAUSE_SECONDS, context.settings.sweep_interval)
    known: dict[str, Any] = {}

    def learn(sender: Any, **_kwargs: Any) -> None:
        """Celery calls this when a worker knows its queues and has no processes yet."""
        known.update(queues=sorted(sender.app.amqp.queues.consume_from), processes=sender.concurrency)

    def beat() -> None:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        while not context.stopping.is_set():
            # Without the database, or with an older schema, nobody needs to know. The tasks say what is wrong.
            with suppress(ContactExportError), query_errors_translated(), context.database.autocommit() as conn:
                workers.note_alive(conn, worker, pause=pause, **known)
            context.stopping.wait(pause)

    def listen(**_kwargs: Any) -> None:
        threading.Thread(target=beat, daemon=True).start()

    worker_init.connect(learn, weak=False)
    worker_process_init.connect(listen, weak=False)
