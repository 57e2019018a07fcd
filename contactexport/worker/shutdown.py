"""How a worker ends: at once if it is idle. Otherwise its exports get some seconds and are then handed back.

An export that is handed back is due at once and published again, so another worker continues it. After a kill the next
sweep does the same.
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

from contactexport.context import Context

RESULT_SECONDS = 0.2  # for the last result of a process to reach its worker


def graceful_shutdown(context: Context) -> type[bootsteps.StartStopStep]:
    """Returns a worker step that ends the worker at SIGTERM, SIGINT or SIGQUIT."""

    class GracefulShutdown(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
        def include(self, worker: Any) -> bool:
            """Puts this step before the pool, which would otherwise start to end by itself."""
            worker.steps.insert(0, self)
            return True

        def close(self, worker: Any) -> None:
            """Celery calls this when the worker is told to end. It takes no more messages from then on."""
            if not state.reserved_requests:
                worker.pool.terminate()  # ending by itself it would sleep for a second in several places
                return
            pids = worker.pool.info["processes"]

            def stop_processes() -> None:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)

            late = threading.Timer(context.settings.stop_wait, stop_processes)
            late.daemon = True
            late.start()

    return GracefulShutdown


def listen_in_pool_processes(context: Context) -> None:
    """Makes every process of the pool hand back its export and end at SIGTERM.

    A thread waits for the signal, because a handler would not run while the main thread waits for Postgres.
    """
    parent = os.getpid()

    def listen(**_kwargs: Any) -> None:
        if os.getpid() == parent:  # a pool without processes works in the worker itself
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        idle = threading.Event()
        idle.set()
        task_prerun.connect(lambda **_: idle.clear(), weak=False)
        task_postrun.connect(lambda **_: idle.set(), weak=False)
        threading.Thread(target=_end_when_told, args=(context, idle), daemon=True).start()

    worker_process_init.connect(listen, weak=False)


def _end_when_told(context: Context, idle: threading.Event) -> None:
    signal.sigwait({signal.SIGTERM})
    context.stopping.set()
    if not idle.is_set():
        idle.wait()
        time.sleep(RESULT_SECONDS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
