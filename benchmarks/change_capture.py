"""What the log of changes costs the programs that change contacts: with the triggers and without them.

    python benchmarks/change_capture.py --scale 0.1

Rounds with and without triggers alternate, on the same contacts, with VACUUM and CHECKPOINT before each, or before a
few short ones. The median counts. The number of rounds is even: rows that move away make room for those that come back,
so pages look alike only every other time. The log is counted after each round. The second table is about the log: its
bytes, and how old months are dropped.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import change_sets
import contacts
import results
from psycopg2 import sql

from contactexport.changes import prune
from contactexport.context import Context

MANY = 100_000
SINGLE = 500
# The time of the disk for a commit varies from second to second. So many short rounds are better than a few long ones.
SHORT_ROUNDS = 4
MONTH = 8
PATIENCE_SECONDS = 10


class NotLogged(Exception):
    """The log does not have exactly the changes that were made."""


def main() -> None:
    """Measures, prints and stores the tables `change_capture` and `change_log`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 100,000 contacts in one statement")
    parser.add_argument("--rounds", type=int, default=8, help="rounds with and without each; an even number")
    options = parser.parse_args()
    rounds = options.rounds
    many, single = max(round(MANY * options.scale), 500), max(round(SINGLE * options.scale), 20)
    with contacts.server() as server, contacts.copy_of(server, 2 * many) as context:
        with context.database.session() as conn:
            update_single, insert_single = _update_single(conn, single), _insert_single(conn, single)
            queries().save_contacts(conn)
            rows = [
                _compared(conn, f"UPDATE of {many:,} contacts", _update_many(conn, many), rounds, 1.4),
                _compared(conn, f"{single:,} UPDATEs of one", update_single, rounds, 1.25, SHORT_ROUNDS),
                _compared(conn, f"{single:,} INSERTs of one", insert_single, rounds, None, SHORT_ROUNDS),
                _compared(conn, f"DELETE of {many:,} contacts", _delete_many(conn, many), rounds, 1.4),
                _compared(conn, f"{single:,} DELETEs of one", _delete_single(conn, single), rounds, 1.25, SHORT_ROUNDS),
            ]
            log = [*_log_size(conn, many), _months_read(conn)]
        log += _old_month(context, many)
    about = (
        f"The median of {rounds} rounds with and as many without the triggers, of {SHORT_ROUNDS * rounds} where each "
        "single one is committed."
    )
    table = [row for pair in rows for row in pair]
    results.save(results.Table("change_capture", "Logging of changes", about, "of it without", tuple(table)))
    about = f"After an update of {many:,} contacts; a month with as many changes."
    results.save(results.Table("change_log", "The log of changes", about, "of DELETE", tuple(log)))


@cache
def queries() -> Any:
    """The queries of change_capture.sql."""
    return aiosql.from_path(Path(__file__).with_suffix(".sql"), "psycopg2", mandatory_parameters=False)


def _update_many(conn: Any, many: int) -> Callable[[str], int]:
    return lambda value: int(queries().update_many(conn, value=value, contacts=many))


def _update_single(conn: Any, single: int) -> Callable[[str], int]:
    # Each contact once. A second update to the same value is no change and is not logged.
    return lambda value: sum(queries().update_one(conn, value=value, id=2 * n) for n in range(1, single + 1))


def _insert_single(conn: Any, single: int) -> Callable[[str], int]:
    return lambda value: sum(queries().insert_one(conn, value=f"capture{value}.{n}") for n in range(single))


def _delete_many(conn: Any, many: int) -> Callable[[str], int]:
    return lambda _value: int(queries().delete_many(conn, contacts=many))


def _delete_single(conn: Any, single: int) -> Callable[[str], int]:
    return lambda _value: sum(queries().delete_one(conn, id=2 * n) for n in range(1, single + 1))


def _compared(
    conn: Any, name: str, change: Callable[[str], int], rounds: int, aim: float | None, short_rounds: int = 1
) -> tuple[results.Row, results.Row]:
    """Measures with and without the triggers. `change` makes the changes and returns their number. Raises NotLogged.

    Everything is cleaned up before each round. A round may consist of several short ones.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds * short_rounds + 1):  # the first round writes to new pages
        for logged in (number % 2 == 0, number % 2 == 1):
            if number % short_rounds == 0:
                _run_on_this_month(conn, queries().tidy)
                contacts.queries().checkpoint(conn)
            seconds[logged].append(_timed(conn, change, f"{number}{logged}", logged=logged))
    queries().forget_inserted(conn)
    without, with_it = (statistics.median(seconds[logged][1:]) for logged in (False, True))
    aimed = f"at most {aim}" if aim else ""
    return (
        results.Row(f"{name}, without", 1000 * without, "ms"),
        results.Row(f"contactexport, {name}", 1000 * with_it, "ms", with_it / without, aimed),
    )


def _timed(conn: Any, change: Callable[[str], int], value: str, *, logged: bool) -> float:
    (queries().trigger_on if logged else queries().trigger_off)(conn)
    since = queries().clock(conn)
    began = time.perf_counter()
    made = change(value)
    seconds = time.perf_counter() - began
    queries().trigger_off(conn)
    queries().restore(conn)  # what was deleted
    queries().trigger_on(conn)
    if (found := queries().changes(conn, since=since)) != (made if logged else 0):
        raise NotLogged(f"{found:,} changes logged, {made:,} made, triggers {'on' if logged else 'off'}")
    return seconds


def _run_on_this_month(conn: Any, query: Any) -> str:
    """Runs a template on the partition of the log that is written to. Returns the name of that partition."""
    partition = str(queries().this_month(conn))
    with conn.cursor() as cursor:
        cursor.execute(contacts.template(query).format(partition=sql.Identifier(partition)))
    return partition


def _log_size(conn: Any, many: int) -> list[results.Row]:
    partition = _run_on_this_month(conn, queries().empty)
    queries().update_many(conn, value="size", contacts=many)
    size = queries().log_size(conn, partition=partition)
    return [
        results.Row("contactexport, a change in the log", size["rows"] / many, "bytes"),
        results.Row("contactexport, its entries in indexes", size["indexes"] / many, "bytes"),
    ]


def _months_read(conn: Any) -> results.Row:
    """How many partitions of the log a window of one day reads."""
    months = [row["name"] for row in queries().months(conn)]
    window = {"start": datetime(2012, 3, 5, tzinfo=UTC), "end": datetime(2012, 3, 6, tzinfo=UTC)}
    plan = " ".join(row["QUERY PLAN"] for row in queries().plan_of_window(conn, **window))
    read = sum(f" on {month} " in plan for month in months)
    return results.Row("contactexport, parts read for one day", read, f"of {len(months)}")


def _old_month(context: Context, many: int) -> list[results.Row]:
    start, end = change_sets.changed_in(context, MONTH, many)
    with context.database.session() as conn:
        began = time.perf_counter()
        deleted = queries().delete_month(conn, start=start, end=end)
        deleting = time.perf_counter() - began
    change_sets.changed_in(context, MONTH, many)
    list(prune.prune(context, start, PATIENCE_SECONDS))  # otherwise months of other benchmarks would be timed as well
    began = time.perf_counter()
    dropped = list(prune.prune(context, start + timedelta(days=32), PATIENCE_SECONDS))
    dropping = time.perf_counter() - began
    with context.database.session() as conn:
        left = contacts.queries().change_set(conn, month=start)["changes"]
    if deleted != many or left or len(dropped) != 1:
        raise NotLogged(f"{deleted:,} of {many:,} deleted, {left:,} left after dropping {dropped}")
    return [
        results.Row(f"DELETE of {many:,} changes", 1000 * deleting, "ms"),
        results.Row("contactexport, their month dropped", 1000 * dropping, "ms", dropping / deleting),
    ]


if __name__ == "__main__":
    main()
