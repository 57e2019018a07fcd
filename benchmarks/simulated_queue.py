"""Predicts by simulation how long exports wait for a worker, and compares that with a real worker.

    python benchmarks/simulated_queue.py --rounds 7

Each round measures what the model needs, runs the real worker, and measures again, so that other work on the machine
counts for both. Medians of all rounds count. 200 exports of mixed sizes are asked for at random times by eight users,
half as fast again as two processes can write them, so that a queue builds up. The model is in `queue_model.py`. It
knows the costs of exports one size at a time, and nothing of the mixed run.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import change_sets
import contacts
import export_runs
import queue_model
import results
from queue_model import Ask, Costs
from running_worker import wait_for, worker
from tools import by_contactexport
from tools.job import Job

from contactexport.context import Context
from contactexport.exports import accept, deliver
from contactexport.exports.models import Export
from contactexport.users.models import Caller

CONTACTS = 1_000_000
EXPORTS = 200
PROCESSES = 2
MONTH = 3
# Rows of an export, and how many in a hundred exports have so many.
SIZES = {10: 20, 100: 30, 1000: 30, 10_000: 15, 40_000: 5}
USERS = {f"user {number}": share for number, share in enumerate((4, 2, 1, 1, 1, 1, 1, 1))}
LOAD = 1.5
SEED = 20
LOOK_SECONDS = 0.25  # whoever looks more often takes time from the workers


@dataclass(frozen=True)
class Outcome:
    """Exports a second, and the seconds between request and start."""

    throughput: float
    median: float
    p95: float


def main() -> None:
    """Measures, prints and stores the table `simulated_queue`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 200 exports of up to 40,000 rows")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median of each figure counts")
    options = parser.parse_args()
    size = max(round(CONTACTS * options.scale), 2000)
    rows = {wanted: max(round(wanted * min(options.scale, 1)), 1) for wanted in SIZES}
    number = max(round(EXPORTS * min(options.scale, 1)), 10)
    with (
        contacts.server() as server,
        contacts.database_of(server, size) as filled,
        tempfile.TemporaryDirectory(dir=contacts.folder()) as folder,
    ):
        real = Real(contacts.make_context(filled.database.url, Path(folder)), list(rows.values()))
        asked: list[Ask] = []
        rounds = []
        for _ in range(options.rounds):
            before = real.costs(number // 10)
            # The same requests in all rounds, at the speed that the first calibration found.
            asked = asked or _asks(before, number, list(rows.values()))
            measured = real.measure(asked)
            rounds.append((before, measured, real.costs(number // 10)))
            print(f"calibrated {before} and {rounds[-1][2]}\nmeasured   {measured}", flush=True)
    costs = _median_costs([one for before, _, after in rounds for one in (before, after)])
    _save(_predicted(costs, asked), [measured for _, measured, _ in rounds], costs, len(asked))


class Real:
    """The database, and workers that run as long as one measurement."""

    def __init__(self, context: Context, rows: Sequence[int]) -> None:
        self._context = context
        self._jobs: dict[int, Job] = {}
        change_sets.changed_in(context, MONTH, max(rows))
        for size in rows:
            window = change_sets.first_changed_in(context, MONTH, size)
            self._jobs[size] = export_runs.job_of(context, window)

    def costs(self, number: int) -> Costs:
        """What exports take that are written alone, and two at once: so many of each size."""
        sizes = sorted(self._jobs)
        seconds: list[list[float]] = []
        pickup = 0.0
        for processes in range(1, PROCESSES + 1):
            with worker(self._context, processes):
                self._wait(range(processes), sizes[0])  # then each process has loaded everything
                pickup = statistics.median(_waited(self._wait([0], sizes[0])[0]) for _ in range(number))
                seconds.append([self._each(number, rows, processes) for rows in sizes])
        return Costs(sizes, seconds, pickup)

    def measure(self, asked: Sequence[Ask]) -> Outcome:
        """Asks for these exports when their times have come."""
        with worker(self._context, PROCESSES):
            self._wait(range(PROCESSES), min(self._jobs))
            began = time.monotonic()
            ids = []
            for ask in asked:
                time.sleep(max(0.0, began + ask.at - time.monotonic()))
                ids.append(self._ask(ask.user, ask.rows))
            exports = wait_for(self._context, ids, LOOK_SECONDS)
        self._forget(exports, [ask.rows for ask in asked])
        first = min(export.created_at for export in exports)
        last = max(export.finished_at for export in exports if export.finished_at)
        return _outcome([_waited(export) for export in exports], (last - first).total_seconds())

    def _each(self, number: int, rows: int, processes: int) -> float:
        """The seconds of an export, of so many that wait from the start. The first of each process does not count."""
        exports = self._wait(range(number + processes), rows)
        ends = sorted(export.finished_at for export in exports if export.finished_at)
        return (ends[-1] - ends[processes - 1]).total_seconds() * processes / number

    def _wait(self, users: Iterable[int], rows: int) -> list[Export]:
        exports = wait_for(self._context, [self._ask(f"user {user}", rows) for user in users], LOOK_SECONDS)
        self._forget(exports, [rows] * len(exports))
        return exports

    def _ask(self, user: str, rows: int) -> int:
        """A different setting each time: the window ends a little later, before the next change."""
        settings = by_contactexport.settings(self._jobs[rows])
        later = timedelta(microseconds=time.time_ns() // 1000 % 1_000_000)
        end = datetime.fromisoformat(self._jobs[rows].end) + later
        caller = Caller(user, exports_per_user=10_000)
        return accept.request(self._context, replace(settings, end=end), None, caller)

    def _forget(self, exports: Sequence[Export], rows: Sequence[int]) -> None:
        """Checks the number of rows and deletes the files. Raises WrongExport."""
        for export, expected in zip(exports, rows, strict=True):
            if export.status != "done" or export.rows != expected:
                raise export_runs.WrongExport(f"{export}, expected {expected} rows")
            deliver.stored_file(self._context, export).unlink()
        with self._context.database.session() as conn:
            contacts.queries().forget_exports(conn)


def _asks(costs: Costs, number: int, rows: Sequence[int]) -> list[Ask]:
    weights = list(SIZES.values())
    mean = sum(costs.of(size, PROCESSES) * weight for size, weight in zip(rows, weights, strict=True)) / sum(weights)

    def chosen(chance: random.Random) -> int:
        return chance.choices(list(rows), weights)[0]

    return queue_model.asks(number, LOAD * PROCESSES / mean, USERS, chosen, SEED)


def _waited(export: Export) -> float:
    if export.started_at is None:
        raise export_runs.WrongExport(f"{export} was never started")
    return (export.started_at - export.created_at).total_seconds()


def _predicted(costs: Costs, asked: Sequence[Ask]) -> Outcome:
    jobs = queue_model.Machine(costs, PROCESSES).run(asked)
    last = max(job.ended or 0.0 for job in jobs)
    return _outcome([job.waited for job in jobs], last - min(ask.at for ask in asked))


def _outcome(waits: Sequence[float], seconds: float) -> Outcome:
    return Outcome(len(waits) / seconds, statistics.median(waits), statistics.quantiles(waits, n=20)[-1])


def _median_costs(found: Sequence[Costs]) -> Costs:
    sizes = found[0].rows
    return Costs(
        sizes,
        [
            [statistics.median(one.seconds[k][place] for one in found) for place in range(len(sizes))]
            for k in range(PROCESSES)
        ],
        statistics.median(one.pickup for one in found),
    )


def _save(predicted: Outcome, measured: Sequence[Outcome], costs: Costs, number: int) -> None:
    rows = []
    for name, unit, factor, part in (
        ("exports a second", "/s", 1, "throughput"),
        ("median wait", "ms", 1000, "median"),
        ("95 % wait at most", "ms", 1000, "p95"),
    ):
        real = statistics.median(getattr(one, part) for one in measured)
        model = getattr(predicted, part)
        rows.append(results.Row(f"{name}, measured", real * factor, unit))
        rows.append(results.Row(f"{name}, predicted", model * factor, unit, model / real, "0.8 to 1.2"))
    for k, seconds in enumerate(costs.seconds, 1):
        for size, one in zip(costs.rows, seconds, strict=True):
            rows.append(results.Row(f"told to the model: {size:,} rows, {k} at once", 1000 * one, "ms"))
    rows.append(results.Row("told to the model: until an idle process starts", 1000 * costs.pickup, "ms"))
    about = (
        f"{number} exports of 10 to 40,000 rows by {len(USERS)} users at random times, for {PROCESSES} processes; the "
        f"median of {len(measured)} rounds."
    )
    results.save(results.Table("simulated_queue", "The queue, simulated", about, "of measured", tuple(rows)))


if __name__ == "__main__":
    main()
