"""Memory of a worker while it exports, above what it needs when idle.

    python benchmarks/memory.py --scale 0.01

A real worker with one process for exports. Two values are measured. Resident memory of all processes counts a shared
page once for each process. USS counts only pages that are not shared.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import change_sets
import contacts
import export_runs
import psutil
import results
from running_worker import wait_for, worker
from tools import by_contactexport
from tools.job import Job

from contactexport.context import Context
from contactexport.exports import accept
from contactexport.users.models import Caller

CONTACTS_OF_OTHERS = 4_000_000  # the database of most benchmarks
ROWS = (10_000, 1_000_000, 10_000_000)
MONTH = 6
LOOK_SECONDS = 0.05
MEGABYTE = 1_000_000
SETTLE_SECONDS = 1


@dataclass
class Peak:
    """The largest memory seen, in bytes."""

    rss: int = 0
    uss: int = 0


def main() -> None:
    """Measures, prints and stores the table `memory`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: exports of 1 and 10 million rows")
    scale = parser.parse_args().scale
    few, many, all_of_them = (max(round(rows * scale), 100) for rows in ROWS)
    with (
        contacts.server() as server,
        contacts.database_of(server, max(all_of_them, 1000), upon=round(CONTACTS_OF_OTHERS * scale)) as filled,
        tempfile.TemporaryDirectory(dir=contacts.folder()) as folder,
    ):
        context = contacts.make_context(filled.database.url, Path(folder))
        window = change_sets.changed_in(context, MONTH, many)
        windows = change_sets.first_changed_in(context, MONTH, few), window, (contacts.START, contacts.END)
        jobs = [export_runs.job_of(context, one) for one in windows]
        with worker(context, 1) as process:
            peaks = [peak_of(context, job, process.pid) for job in jobs]
    _save(peaks)


def peak_of(context: Context, job: Job, pid: int) -> tuple[int, Peak, Peak]:
    """Returns the rows, the memory before the export, and its peak. Raises WrongExport."""
    time.sleep(SETTLE_SECONDS)
    idle = _now(psutil.Process(pid))
    with ThreadPoolExecutor(1) as meanwhile, _watched(pid) as peak:
        expected = meanwhile.submit(export_runs.expected_sha256, job)  # nothing is timed here
        export_id = accept.request(context, by_contactexport.settings(job), None, Caller("benchmark"))
        (export,) = wait_for(context, [export_id])
    export_runs.require(export, expected.result())
    export_runs.remove(context, export)
    return export.rows or 0, idle, peak


@contextmanager
def _watched(pid: int) -> Iterator[Peak]:
    """The peak is complete after the block."""
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            try:
                now = _now(psutil.Process(pid))
            except psutil.NoSuchProcess:  # a process ended during the look
                continue
            peak.rss, peak.uss = max(peak.rss, now.rss), max(peak.uss, now.uss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _now(worker: psutil.Process) -> Peak:
    memory = [process.memory_full_info() for process in (worker, *worker.children(recursive=True))]
    return Peak(sum(one.rss for one in memory), sum(one.uss for one in memory))


def _save(peaks: list[tuple[int, Peak, Peak]]) -> None:
    """The exports. The first one is small. After it the worker has loaded everything and counts as idle."""
    _, (rows, idle, peak), (more_rows, _, more_peak) = peaks
    above = [(one.rss - idle.rss) / MEGABYTE for one in (peak, more_peak)]
    own = [f"{(one.uss - idle.uss) / MEGABYTE:.1f} MB" for one in (peak, more_peak)]
    table = (
        results.Row("contactexport, idle", idle.rss / MEGABYTE, "MB", more={"USS above idle": ""}),
        results.Row(
            f"contactexport, {rows:,} rows, above idle", above[0], "MB", None, "at most 40", {"USS above idle": own[0]}
        ),
        results.Row(
            f"contactexport, {more_rows:,} rows, above idle",
            above[1],
            "MB",
            None,
            "within 5 of that",
            {"USS above idle": own[1]},
        ),
    )
    about = "Resident memory of a worker's processes: one that supervises, one that exports; Postgres not counted."
    results.save(results.Table("memory", "Memory of a worker", about, "", table))


if __name__ == "__main__":
    main()
