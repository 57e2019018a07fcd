"""The same 10,000 changed contacts among more and more others: the cost of an export must not grow with all contacts.

    python benchmarks/growth_contacts.py --scale 0.05

Exports from the databases run in turns, after one export of each that does not count. The fastest round counts.
"""

import argparse
from contextlib import ExitStack

import change_sets
import contacts
import export_runs
import results

CONTACTS = (1_000_000, 4_000_000, 10_000_000)
CHANGED = 10_000
MONTH = 1


def main() -> None:
    """Measures, prints and stores the table `growth_contacts`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1, 4 and 10 million contacts")
    parser.add_argument("--rounds", type=int, default=9, help="exports from each database")
    options = parser.parse_args()
    sizes = [max(round(size * options.scale), 1000) for size in CONTACTS]
    changed = min(CHANGED, sizes[0] // 10)
    seconds = _measured(sizes, changed, options.rounds)
    _save(seconds, changed, options.rounds)


def _measured(sizes: list[int], changed: int, rounds: int) -> dict[int, list[float]]:
    """The seconds of each round by size of the database."""
    with contacts.server() as server, ExitStack() as opened:
        with contacts.database_of(server, sizes[-1], upon=sizes[1]):
            pass  # while there is no connection to the one that is copied
        cases = {}
        for size in dict.fromkeys(sizes):
            context = opened.enter_context(contacts.database_of(server, size))
            window = change_sets.changed_in(context, MONTH, changed, every=sizes[0] // changed)
            job = export_runs.job_of(context, window)
            cases[size] = context, job, export_runs.expected_sha256(job)
        seconds: dict[int, list[float]] = {size: [] for size in cases}
        for _ in range(rounds + 1):
            for size, case in cases.items():
                seconds[size].append(export_runs.run(*case))
    return {size: done[1:] for size, done in seconds.items()}


def _save(seconds: dict[int, list[float]], changed: int, rounds: int) -> None:
    best = {size: min(done) for size, done in seconds.items()}
    first, last = min(best), max(best)
    rows = [
        results.Row(
            f"contactexport, {size:,} contacts",
            1000 * best[size],
            "ms",
            best[size] / best[first],
            "at most 1.2" if size == last else "",
        )
        for size in best
    ]
    about = (
        f"The same {changed:,} contacts have changed, spread over the first {first:,}; the fastest of {rounds} counts."
    )
    results.save(
        results.Table("growth_contacts", "The same changes among more contacts", about, "of the first", tuple(rows))
    )


if __name__ == "__main__":
    main()
