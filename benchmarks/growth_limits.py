"""Computes from the measured figures what the first limits are, and how long exports would wait on more machines.

    python benchmarks/growth_limits.py

Prints the tables of docs/growth.md. Figures of this run of `make bench` count, and those of the pages for
benchmarks that have not run. What is assumed, and not measured, is in the constants below and in the tables' captions.
"""

import argparse
import random
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import contacts
import psutil
import queue_model
import results
from queue_model import Ask, Costs
from results import Row, Table, readable

from contactexport.db.connection import MAX_CONNECTIONS
from contactexport.exports.run import MAX_DEFAULT_READERS
from contactexport.exports.sweep import FILES_A_SWEEP
from contactexport.settings import load_settings

PAGES = ("performance.md", "growth.md")
MILLION = 1_000_000
CONTACTS = (10 * MILLION, 100 * MILLION, 1000 * MILLION)
EXPORTS_A_DAY = (10_000, 100_000, 1_000_000)
USERS = 1000
# Assumed: how often a contact changes in a month, and which part of a day's exports is asked for in one hour.
CHANGES = 2
PEAK = 0.1
ROWS = 10_000  # of an export, as in growth_queue
SIZES = (10, 100, 1000, 10_000, 40_000)  # of simulated_queue
STATUS_REQUESTS = 20  # for each export
OBJECTS_LISTED = 1000  # by one request, in S3 and in Azure
SERVERS = 2  # processes of gunicorn on a machine
MAX_POSTGRES_CONNECTIONS = 100  # as Postgres comes
DAY, MONTH = 86_400, 30 * 86_400
SCALES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
UNITS = {"bytes": 1, "MB": 1e6, "µs": 1e-6, "ms": 1e-3, "s": 1}


@dataclass(frozen=True)
class Growth:
    """A row: what one costs, what so many cost, and from how many on it is too much. `most` None: it has no limit."""

    name: str
    one: float
    unit: str
    cost: Callable[[float], float]
    told: Callable[[float], str]
    most: float | None
    add: str


def main() -> None:
    """Computes, prints and stores the tables `growth_contacts_limits`, `growth_exports_limits` and `growth_waits`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="less than 1: fewer simulated exports")
    scale = parser.parse_args().scale
    _save(
        "growth_contacts_limits",
        "More contacts",
        f"Computed. Assumed: a contact changes {CHANGES} times a month. The machine is that of the measured figures.",
        "million contacts",
        [(size, f"{size // MILLION:,} million") for size in CONTACTS],
        _of_contacts(),
    )
    _save(
        "growth_exports_limits",
        "More exports",
        f"Computed. Assumed: {USERS:,} users, exports of {ROWS:,} rows whose files are kept, {PEAK:.0%} of the day's "
        f"in one hour, {STATUS_REQUESTS} requests for the status of each.",
        "exports a day",
        [(number, f"{number:,} a day") for number in EXPORTS_A_DAY],
        _of_exports(),
    )
    _save_waits(scale)


def measured(table: str, row: str) -> float | None:
    """A measured value in seconds, bytes or pieces: of this run, else of the pages. None: there is none."""
    if found := results.load(table):
        for one in found.rows:
            if one.name == row and one.value is not None:
                return one.value * UNITS.get(one.unit, 1)
    page = "".join((contacts.PROJECT / "docs" / name).read_text(encoding="utf-8") for name in PAGES)
    region = page.partition(f"<!-- begin {table} -->")[2].partition(f"<!-- end {table} -->")[0]
    line = re.search(rf"^\| {re.escape(row)} \| ([\d.,]+) ?(\S*) \|", region, re.MULTILINE)
    return float(line[1].replace(",", "")) * UNITS.get(line[2], 1) if line else None


def _need(table: str, row: str) -> float:
    value = measured(table, row)
    if value is None:
        raise SystemExit(f"not measured: {row} of {table}, see docs/performance.md and docs/growth.md")
    return value


def _of_contacts() -> list[Growth]:
    entry, index = _need("log_growth", "a change in the log"), _need("log_growth", "its entry in the index")
    update = _need("change_capture", "contactexport, UPDATE of 100,000 contacts") / 100_000
    row = _need("growth_rows", "contactexport, 2,000,000 rows") / 2_000_000
    pruned = _need("log_growth", "10,000,000 changes pruned") / (10 * MILLION)
    memory = psutil.virtual_memory().total
    return [
        Growth(
            "index of the month that is written",
            index,
            "bytes a change",
            lambda size: size * CHANGES * index,
            _bytes,
            memory / 2,
            "memory. There are no partitions by origin",
        ),
        Growth(
            "log of a month",
            entry + index,
            "bytes a change",
            lambda size: size * CHANGES * (entry + index),
            _bytes,
            None,
            "`flask contacts prune`",
        ),
        Growth(
            "changing contacts, of the time of one session",
            1e6 * update,
            "µs a change",
            lambda size: size * CHANGES * update / MONTH,
            _percent,
            1,
            "several sessions",
        ),
        Growth(
            "full export",
            1e6 * row,
            "µs a row",
            lambda size: size * row,
            _time,
            3600,
            "cores and readers, a standby",
        ),
        Growth(
            "pruning a month",
            1e6 * pruned,
            "µs a change",
            lambda size: size * CHANGES * pruned,
            _time,
            None,
            "nothing",
        ),
    ]


def _of_exports() -> list[Growth]:
    settings = load_settings({}, {"CONTACTEXPORT_DATA_DIR": str(contacts.folder())})
    writing = 2 * _need("growth_queue", "contactexport, all at once") / 100  # of two cores
    stored = _need("many_exports_upkeep", "an export") + _need("many_exports_upkeep", "its entries in indexes")
    post, status = (
        _need("api_throughput", name) for name in ("contactexport POST getchanges", "contactexport GET export status")
    )
    whose = _need("many_exports", "sweep: whose files, 100,000") / 100_000
    kept = settings.retention / DAY
    process = 3 + MAX_DEFAULT_READERS
    peak_cores = PEAK * writing / 3600
    return [
        Growth(
            "cores that write in the busiest hour",
            1000 * writing,
            "ms an export",
            lambda day: day * peak_cores,
            readable,
            2,
            "worker processes and cores",
        ),
        Growth(
            "servers in the busiest hour, of two processes",
            1000 * (1 / post + STATUS_REQUESTS / status),
            "ms an export",
            lambda day: day * PEAK / 3600 * (1 / post + STATUS_REQUESTS / status),
            _percent,
            1,
            "server processes",
        ),
        Growth(
            "connections of servers and workers",
            process,
            "a process",
            lambda day: SERVERS * MAX_CONNECTIONS + process * max(2.0, -(-day * peak_cores // 1)),
            readable,
            MAX_POSTGRES_CONNECTIONS,
            "`max_connections`",
        ),
        Growth(
            "rows of exports after a year",
            stored,
            "bytes an export",
            lambda day: 365 * day * stored,
            _bytes,
            None,
            "delete old rows",
        ),
        Growth(
            "files in the storage",
            kept,
            "days",
            lambda day: day * kept,
            lambda files: f"{files:,.0f}",
            None,
            "a shorter `CONTACTEXPORT_RETENTION`",
        ),
        Growth(
            "looking for orphans among all of them",
            1e6 * whose,
            "µs a file",
            lambda day: day * kept * whose,
            _time,
            None,
            "nothing, one sweep in several looks",
        ),
        Growth(
            "requests to list objects, of all sweeps of a day",
            FILES_A_SWEEP / OBJECTS_LISTED,
            "a sweep",
            lambda day: min(day * kept, FILES_A_SWEEP) / OBJECTS_LISTED * DAY / settings.sweep_interval,
            lambda requests: f"{requests:,.0f}",
            None,
            "a longer `CONTACTEXPORT_SWEEP_INTERVAL`",
        ),
    ]


def _save(
    name: str, title: str, about: str, counted: str, scale: Sequence[tuple[int, str]], found: Sequence[Growth]
) -> None:
    rows = []
    for one in found:
        columns = {heading: one.told(one.cost(size)) for size, heading in scale}
        rows.append(
            Row(one.name, one.one, one.unit, more=columns | {"too much from": _limit(one, counted), "then": one.add})
        )
    results.save(Table(name, title, about, "", tuple(rows)))


def _limit(one: Growth, counted: str) -> str:
    """From how many on the cost, which grows with the number, is more than the most."""
    if one.most is None:
        return "–"
    low, high = 0.0, 1e15
    while high / max(low, 1) > 1.001:
        middle = (max(low, 1) * high) ** 0.5
        low, high = (low, middle) if one.cost(middle) > one.most else (middle, high)
    return f"{readable(high / MILLION if 'million' in counted else high)} {counted}"


def _bytes(size: float) -> str:
    unit = max((unit for unit, scale in SCALES.items() if size >= scale), key=lambda unit: SCALES[unit], default="B")
    return f"{readable(size / SCALES[unit])} {unit}"


def _percent(part: float) -> str:
    return f"{readable(100 * part)} %"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{readable(1000 * seconds)} ms"
    return f"{readable(seconds)} s" if seconds < 120 else f"{readable(seconds / 60)} min"


def _save_waits(scale: float) -> None:
    """How long exports wait, by the model of `queue_model.py`."""
    told = "told to the model: "
    if measured("simulated_queue", f"{told}until an idle process starts") is None:
        print("waits are not simulated, because simulated_queue has not run")
        return
    costs = Costs(
        SIZES,
        [[_need("simulated_queue", f"{told}{size:,} rows, {k} at once") for size in SIZES] for k in (1, 2)],
        _need("simulated_queue", f"{told}until an idle process starts"),
    )
    hour, night = max(round(EXPORTS_A_DAY[1] * PEAK * scale), 20), max(round(USERS * scale), 20)
    users = {f"user {number}": 1.0 for number in range(USERS)}
    hourly = queue_model.asks(hour, EXPORTS_A_DAY[1] * PEAK / 3600, users, lambda _chance: ROWS, 1)
    nightly = [Ask(0.0, user, ROWS) for user in list(users)[:night]]
    mixed = queue_model.asks(hour, EXPORTS_A_DAY[1] * PEAK / 3600, users, _mixed, 1)
    rows = []
    for name, asked in (
        (f"the busiest hour of {EXPORTS_A_DAY[1]:,} a day, {ROWS:,} rows each", hourly),
        ("the same with one in a hundred of a million rows", mixed),
        (f"{night:,} feeds at the same minute", nightly),
    ):
        for machines in (1, 2, 4):
            waits = sorted(job.waited for job in _run(costs, machines, asked))
            middle, late = statistics.median(waits), statistics.quantiles(waits, n=20)[-1]
            more = {"95 % wait at most": f"{readable(late)} s", "longest": f"{readable(waits[-1])} s"}
            rows.append(Row(f"{name}, {2 * machines} processes", middle, "s", more=more))
    about = (
        "Simulated: two processes to a machine like the measured one, with its part of "
        "Postgres. No user has more than one running for each machine."
    )
    results.save(Table("growth_waits", "Waiting for a worker", about, "", tuple(rows), "median wait"))


def _mixed(chance: random.Random) -> int:
    return MILLION if chance.random() < 0.01 else ROWS


def _run(costs: Costs, machines: int, asked: Sequence[Ask]) -> list[queue_model.Job]:
    of_all = replace(costs, machines=machines)
    return queue_model.Machine(of_all, 2 * machines, running_per_user=machines).run(asked)


if __name__ == "__main__":
    main()
