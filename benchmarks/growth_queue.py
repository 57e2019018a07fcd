"""100 exports queued at once for a worker with two processes: waiting in line must cost next to nothing.

    python benchmarks/growth_queue.py --scale 0.1

They are compared with half the sum of their times when each has the same worker for itself. A time runs from the
publishing of a message to `done`.
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

from contactexport.backend import Backend
from contactexport.models import Caller
from contactexport.services import request_export

CONTACTS = 1_000_000
CHANGED = 10_000
EXPORTS = 100
PROCESSES = 2
MONTH = 1


def main() -> None:
    """Measures, prints and keeps the table `growth_queue`."""
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
        backend = contacts.make_backend(filled.database.url, Path(folder))
        job = export_runs.job_of(backend, change_sets.changed_in(backend, MONTH, changed, every=size // changed))
        expected = export_runs.expected_sha256(job)
        with worker(backend, PROCESSES):
            _seconds(backend, job, expected, range(PROCESSES))  # each process has loaded everything then
            alone = [_seconds(backend, job, expected, [number]) for number in range(EXPORTS // 2)]
            together = _seconds(backend, job, expected, range(EXPORTS))
            alone += [_seconds(backend, job, expected, [number]) for number in range(EXPORTS // 2, EXPORTS)]
    _save(alone, together, changed)


def _ask(backend: Backend, job: Job, number: int) -> int:
    """Each number and moment is a setting of its own: the window ends a little later."""
    settings = by_contactexport.settings(job)
    end = datetime.fromisoformat(job.end) + timedelta(microseconds=time.time_ns() // 1000 % 10**9 + number)
    return request_export.request(backend, replace(settings, end=end), None, Caller(f"benchmark {number}"))


def _seconds(backend: Backend, job: Job, expected: str, numbers: Iterable[int]) -> float:
    """From the first request to the last `done` of exports that are asked for at once. Raises WrongExport."""
    began = time.time()
    exports = wait_for(backend, [_ask(backend, job, number) for number in numbers])
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
