"""How a worker ends: at once when it is idle, else its exports get some seconds and are then handed back.

An export that is handed back is due at once and published again, so another worker goes on with it. Had it been
killed, the next sweep would do the same.
"""

import contextlib
import os
import signal
import threading
import time
from typing import Any

from celery import bootsteps
from celery.signals import task_postrun, task_prerun, worker_process_init
from celery.worker import state

from contactexport.backend import Backend

RESULT_SECONDS = 0.2  # for the last word of a process to its worker


def end_in_time(backend: Backend) -> type[bootsteps.StartStopStep]:
    """A worker step for the end of the worker, be it SIGTERM, SIGINT or SIGQUIT."""

    class EndInTime(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
        def include(self, worker: Any) -> bool:
            """Stands before the pool, which otherwise begins to end by itself."""
            worker.steps.insert(0, self)
            return True

        def close(self, worker: Any) -> None:
            """Called once the worker has been told to end; from now on no message is taken any more."""
            if not state.reserved_requests:
                worker.pool.terminate()  # one that ends by itself sleeps for a second here and there
                return
            late = threading.Timer(backend.settings.stop_wait, _stop_processes, [worker.pool.info["processes"]])
            late.daemon = True
            late.start()

    return EndInTime


def _stop_processes(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def listen_in_pool_processes(backend: Backend) -> None:
    """Makes every process of the pool, once it has started, hand back its export and end when it gets SIGTERM."""
    parent = os.getpid()

    def listen(**_kwargs: Any) -> None:
        if os.getpid() != parent:  # a pool without processes works in the worker itself
            _listen(backend)

    worker_process_init.connect(listen, weak=False)


def _listen(backend: Backend) -> None:
    """A thread waits for the signal: a handler would not run while the main thread waits for Postgres."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    idle = threading.Event()
    idle.set()
    task_prerun.connect(lambda **_: idle.clear(), weak=False)
    task_postrun.connect(lambda **_: idle.set(), weak=False)
    threading.Thread(target=_end_when_told, args=(backend, idle), daemon=True).start()


def _end_when_told(backend: Backend, idle: threading.Event) -> None:
    signal.sigwait({signal.SIGTERM})
    backend.stopping.set()
    if not idle.is_set():
        idle.wait()
        time.sleep(RESULT_SECONDS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
