"""The log of changes with 10 million changes in old months: its bytes, and how long pruning takes.

    python benchmarks/log_growth.py --scale 0.1

The changes are in two months of 2011. `flask contacts prune` drops both, and deletes the entries about deleted
contacts, which have no months.
"""

import argparse
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import contacts
import results

from contactexport.changes import prune
from contactexport.context import Context

CHANGES = 10_000_000
REMOVALS = 1_000_000
CONTACTS = 5000
MONTHS = (datetime(2011, 5, 1, tzinfo=UTC), datetime(2011, 6, 1, tzinfo=UTC))
BEFORE = datetime(2011, 7, 1, tzinfo=UTC)
PATIENCE_SECONDS = 10


class NotPruned(Exception):
    """Not exactly what was added is gone."""


def main() -> None:
    """Measures, prints and stores the table `log_growth`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 10 million changes")
    options = parser.parse_args()
    changes = max(round(CHANGES * options.scale / len(MONTHS)), 1000)
    removals = max(round(REMOVALS * options.scale), 1000)
    with contacts.server() as server, contacts.copy_of(server, CONTACTS) as context:
        adding = _fill(context, changes, removals)
        with context.database.session() as conn:
            month = queries().size_of_month(conn, partition=f"contact_change_{MONTHS[0]:%Y_%m}")
            removed = queries().size_of_removals(conn)
        contacts.settle(server)
        dropping, deleting = _prune(context, removals)
    total = changes * len(MONTHS)
    rows = (
        results.Row("a change in the log", month["rows"] / changes, "bytes"),
        results.Row("its entry in the index", month["indexes"] / changes, "bytes"),
        results.Row("a removal in the log", removed["rows"] / removals, "bytes"),
        results.Row("its entry in the index, removal", removed["indexes"] / removals, "bytes"),
        results.Row(f"{total:,} changes added", adding, "s"),
        results.Row(f"{total:,} changes pruned", dropping, "s"),
        results.Row(f"{removals:,} removals pruned", deleting, "s"),
    )
    about = f"{total:,} changes in {len(MONTHS)} months, {removals:,} removals of one contact each."
    results.save(results.Table("log_growth", "A large log of changes", about, "", rows))


@cache
def queries() -> Any:
    """The queries of log_growth.sql."""
    return aiosql.from_path(Path(__file__).with_suffix(".sql"), "psycopg2", mandatory_parameters=False)


def _fill(context: Context, changes: int, removals: int) -> float:
    """The seconds that the changes take."""
    with context.database.session() as conn:
        for month in MONTHS:
            contacts.queries().make_month(conn, month=month)
        began = time.perf_counter()
        for month in MONTHS:
            queries().add_changes(conn, month=month, changes=changes, contacts=CONTACTS)
        seconds = time.perf_counter() - began
        queries().add_removals(conn, month=MONTHS[0], removals=removals)
    return seconds


def _prune(context: Context, removals: int) -> tuple[float, float]:
    """The seconds for the months, and for the removals. Raises NotPruned."""
    began = time.perf_counter()
    dropped = list(prune.prune(context, BEFORE, PATIENCE_SECONDS))
    months = time.perf_counter()
    found = prune.prunable(context, BEFORE)
    deleting = time.perf_counter()
    prune.delete_strays(context, BEFORE)
    ended = time.perf_counter()
    if not {f"contact_change_{month:%Y_%m}" for month in MONTHS} <= set(dropped) or found.removals != removals:
        raise NotPruned(f"dropped {dropped}, then {found} was left, {removals:,} removals expected")
    return months - began, ended - deleting


if __name__ == "__main__":
    main()
