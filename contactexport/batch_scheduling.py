"""How Linux schedules threads that are woken all the time: by Postgres, by clients, by Python's lock."""

import os
from contextlib import suppress


def schedule_as_batch() -> None:
    """SCHED_BATCH of sched(7), for the thread that calls and those it starts; not every system has it.

    One that is woken no longer takes the processor from whoever works at that moment.
    """
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
