"""A worker says that it lives while it does, whichever of its processes die, and no longer."""

import pytest

from contactexport import workers
from contactexport.context import Context
from contactexport.queue.publisher import QUEUES
from contactexport.workers import Worker
from tests.support.processes import worker
from tests.support.served import wait_until


def living(context: Context) -> list[Worker]:
    with context.database.transaction() as conn:
        return workers.alive(conn)


@pytest.mark.slow
def test_worker_is_known_while_it_lives(context: Context):
    assert living(context) == []
    with worker(context, concurrency=2) as running:
        wait_until(lambda: bool(living(context)), "it says that it lives")
        (known,) = living(context)
        assert (known.process, known.processes, known.queues) == (running.pid, 2, sorted(QUEUES))
        for process in running.children():
            process.kill()  # one of them was the one that says it
        wait_until(lambda: running.deaths() == 2, "they are replaced")
        (before,) = living(context)
        wait_until(lambda: any(one.seen_at > before.seen_at for one in living(context)), "another one says it")
        assert len(living(context)) == 1
        running.kill()
        wait_until(lambda: living(context) == [], "it is missed")
