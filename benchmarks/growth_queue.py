"""100 exports queued at once for a worker with two processes: waiting in the queue must cost almost nothing.

    python benchmarks/growth_queue.py --scale 0.1

They are compared with half the sum of the times in which each runs alone. A time runs from publishing the message to
`done`.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import change_sets
import contacts
import export_runs
import results
from running_worker import wait_for, worker
from tools import by_contactexport
from tools.job import Job

from contactexport.context import Context
from contactexport.exports import accept
from contactexport.users.models import Caller

CONTACTS = 1_000_000
CHANGED = 10_000
EXPORTS = 100
PROCESSES = 2
MONTH = 1


def main() -> None:
    """Measures, prints and stores the table `growth_queue`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: exports of 10,000 contacts each")
    scale = parser.parse_args().scale
    size = max(round(CONTACTS * scale), 1000)
    changed = min(CHANGED, size // 10)
    with (
        contacts.server() as server,
        contacts.database_of(server, size) as filled,
        tempfile.TemporaryDirectory(dir=contacts.folder()) as folder,
    ):
        context = contacts.make_context(filled.database.url, Path(folder))
        job = export_runs.job_of(context, change_sets.changed_in(context, MONTH, changed, every=size // changed))
        expected = export_runs.expected_sha256(job)
        with worker(context, PROCESSES):
            _seconds(context, job, expected, range(PROCESSES))  # then each process has loaded everything
            alone = [_seconds(context, job, expected, [number]) for number in range(EXPORTS // 2)]
            together = _seconds(context, job, expected, range(EXPORTS))
            alone += [_seconds(context, job, expected, [number]) for number in range(EXPORTS // 2, EXPORTS)]
    _save(alone, together, changed)


def _ask(context: Context, job: Job, number: int) -> int:
    """A different setting for each number and moment: the window ends a little later."""
    settings = by_contactexport.settings(job)
    end = datetime.fromisoformat(job.end) + timedelta(microseconds=time.time_ns() // 1000 % 10**9 + number)
    return accept.request(context, replace(settings, end=end), None, Caller(f"benchmark {number}"))


def _seconds(context: Context, job: Job, expected: str, numbers: Iterable[int]) -> float:
    """The seconds from the first request to the last `done` of exports requested at once. Raises WrongExport."""
    began = time.time()
    exports = wait_for(context, [_ask(context, job, number) for number in numbers])
    for export in exports:
        export_runs.require(export, expected)
    return max(export.finished_at.timestamp() for export in exports if export.finished_at) - began


def _save(alone: list[float], together: float, changed: int) -> None:
    half = sum(alone) / PROCESSES
    rows = (
        results.Row("half of the sum, each alone", half, "s"),
        results.Row("contactexport, all at once", together, "s", together / half, "at most 1.1"),
    )
    about = (
        f"{EXPORTS} exports of {changed:,} contacts each, {PROCESSES} processes of one worker, folder broker. "
        "Half of them ran alone before all at once, the other half after that."
    )
    results.save(results.Table("growth_queue", "Exports in a queue", about, "of that", rows))


if __name__ == "__main__":
    main()
