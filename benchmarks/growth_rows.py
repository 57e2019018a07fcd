"""Twice the rows take twice the time: exports of a quarter of a million to two million rows.

    python benchmarks/growth_rows.py --scale 0.1

The first so many contacts of the database have changed, so that their density is always the same.
"""

import argparse
from collections.abc import Mapping

import change_sets
import contacts
import export_runs
import results

CONTACTS = 4_000_000
ROWS = (250_000, 500_000, 1_000_000, 2_000_000)
MONTH = 2


def main() -> None:
    """Measures, prints and stores the table `growth_rows`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: up to 2 of 4 million contacts")
    parser.add_argument("--rounds", type=int, default=5, help="exports of each size; the fastest counts")
    options = parser.parse_args()
    number = max(round(CONTACTS * options.scale), 2000)
    sizes = [round(rows * number / CONTACTS) for rows in ROWS]
    best = {size: min(done) for size, done in _measured(number, sizes, options.rounds).items()}
    _save(best, number, options.rounds)


def _measured(number: int, sizes: list[int], rounds: int) -> dict[int, list[float]]:
    """The seconds of each round by number of rows."""
    with contacts.server() as server, contacts.database_of(server, number) as context:
        change_sets.changed_in(context, MONTH, sizes[-1])
        cases = {}
        for size in sizes:
            job = export_runs.job_of(context, change_sets.first_changed_in(context, MONTH, size))
            cases[size] = job, export_runs.expected_sha256(job)
        seconds: dict[int, list[float]] = {size: [] for size in cases}
        for _ in range(rounds):
            for size, (job, expected) in cases.items():
                seconds[size].append(export_runs.run(context, job, expected))
        return seconds


def _save(best: dict[int, float], number: int, rounds: int) -> None:
    """How far the times are off a straight line."""
    fixed, slope = _line(best)
    off = [seconds / (fixed + slope * size) - 1 for size, seconds in best.items()]
    rows = [
        results.Row(
            f"contactexport, {size:,} rows",
            seconds,
            "s",
            more={"µs a row": results.readable(1e6 * seconds / size), "off the line": f"{100 * part:+.1f} %"},
            aim="within 10 %",
        )
        for (size, seconds), part in zip(best.items(), off, strict=True)
    ]
    about = (
        f"Of {number:,} contacts; the fastest of {rounds} counts. The line that fits best: {1000 * fixed:.0f} ms and "
        f"{1e6 * slope:.2f} µs a row."
    )
    results.save(results.Table("growth_rows", "More rows", about, "", tuple(rows)))


def _line(best: Mapping[int, float]) -> tuple[float, float]:
    """The seconds of an export without rows, and for each row, by least squares of the relative errors."""
    weights = [seconds**-2 for seconds in best.values()]
    whole = sum(weights)
    size = sum(weight * rows for weight, rows in zip(weights, best, strict=True)) / whole
    time = sum(weight * seconds for weight, seconds in zip(weights, best.values(), strict=True)) / whole
    slope = sum(
        weight * (rows - size) * (seconds - time) for weight, (rows, seconds) in zip(weights, best.items(), strict=True)
    ) / sum(weight * (rows - size) ** 2 for weight, rows in zip(weights, best, strict=True))
    return time - slope * size, slope


if __name__ == "__main__":
    main()
