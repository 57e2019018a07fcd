"""How much one worker takes on at a time: set before its pool begins, and the same in all processes of the pool."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.signals import worker_init

from contactexport.export_queue import EXPORTS_QUEUE, SWEEPS_QUEUE


class Places:
    """The processes of a worker, and what they are for."""

    def __init__(self, running_per_user: int | None) -> None:
        self._running_per_user = running_per_user
        self._processes = 1
        self._most_deliveries = 1
        self.takes_sweeps = True
        # Shared by all processes; each place is a byte of it. A process that dies gives its place back.
        self._taken = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker lives
        worker_init.connect(self._set_up, weak=False)

    @property
    def most_running(self) -> int:
        """How many exports of one user run at a time; by default one process is left for others."""
        return self._running_per_user or max(1, self._processes - 1)

    @contextmanager
    def one_for_a_delivery(self) -> Iterator[bool]:
        """Holds a place while the block runs; yields False when none is free.

        A worker that has exports to run keeps one of its processes for them, if it has two.
        """
        place = next((one for one in range(self._most_deliveries) if self._take(one)), None)
        try:
            yield place is not None
        finally:
            if place is not None:
                fcntl.lockf(self._taken, fcntl.LOCK_UN, 1, place)

    def _take(self, place: int) -> bool:
        try:
            fcntl.lockf(self._taken, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True

    def _set_up(self, sender: Any, **_kwargs: Any) -> None:
        """Celery sends this of a worker that knows its queues and has no processes yet."""
        queues = sender.app.amqp.queues.consume_from
        self._processes = sender.concurrency
        self._most_deliveries = max(1, self._processes - 1) if EXPORTS_QUEUE in queues else self._processes
        self.takes_sweeps = SWEEPS_QUEUE in queues
