"""Starts 1,000 feeds that are due at once, and asks for the same exports one by one, in turns.

    python benchmarks/due_feeds.py --scale 0.1

Each exports 100 contacts. The overhead of scheduling is the time to start a run: the sweep stores its export, and when
the feed is due next. All exports are then run in this process, feeds with their manifests.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import contacts
import results

from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.exports import accept
from contactexport.exports import run as run_export
from contactexport.exports.models import ALL_TIME, ExportSettings
from contactexport.feeds import manage
from contactexport.feeds import run as feed_run
from contactexport.feeds.manage import WantedFeed
from contactexport.users.models import Caller

FEEDS = 1000
CHANGED = 100
CALLER = Caller("benchmark", operator=True)
FORM = 123


def main() -> None:
    """Compares both and stores the table `due_feeds`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1,000 feeds")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each; the median one counts")
    options = parser.parse_args()
    count = max(round(FEEDS * options.scale), 5)
    with contacts.server() as server, contacts.copy_of(server, 5000) as context:
        start = _change_contacts(context)
        settings = _settings(start)
        _add_feeds(context, settings, count)
        kinds: dict[str, Callable[[], list[int]]] = {
            "1 feed that is due": lambda: _start_feeds(context, start, count),
            "1 export that is asked for": lambda: _ask(context, settings, count),
        }
        begun: dict[str, list[float]] = {name: [] for name in kinds}
        done: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(options.rounds):
            for name, begin in kinds.items():
                began = time.perf_counter()
                ids = begin()
                begun[name].append((time.perf_counter() - began) * 1000 / count)
                for export_id in ids:
                    export = run_export.run(context, export_id)
                    if export is None or (export.status, export.rows) != ("done", CHANGED):
                        raise SystemExit(f"not done: {export}")
                done[name].append((time.perf_counter() - began) * 1000 / count)
    _save(begun, done, count, options.rounds)


def _change_contacts(context: Context) -> datetime:
    """Changes so many contacts of the form. Returns a time right before that."""
    with context.database.transaction() as conn:
        start = change_log.clock(conn)
        changed = contacts.queries().touch_contacts(conn, form=FORM, changed=CHANGED)
    if changed != CHANGED:
        raise SystemExit(f"{changed} contacts changed")
    return start.astimezone(UTC)


def _settings(start: datetime) -> ExportSettings:
    return ExportSettings(
        distribution_method="local",
        origin="form",
        origin_ids=(FORM,),
        start=start,
        end=ALL_TIME[1],
        contact_fields=(1, 2, 3),
        delimiter=",",
        header=True,
        language="en",
        may_end_early=True,
        removed=True,
    )


def _add_feeds(context: Context, settings: ExportSettings, count: int) -> None:
    for number in range(count):
        wanted = WantedFeed(f"feed-{number}", replace(settings, start=ALL_TIME[0]), None, "0 2 * * *", settings.start)
        manage.add(context, wanted, CALLER)


def _start_feeds(context: Context, start: datetime, count: int) -> list[int]:
    """Makes all due, with the same window as before, and starts them like the sweep. The former is not measured."""
    with context.database.transaction() as conn:
        contacts.queries().make_feeds_due(conn, start=start)
    if (started := feed_run.start_due(context)) != count:
        raise SystemExit(f"{started} feeds started")
    with context.database.transaction() as conn:
        return [row["id"] for row in contacts.queries().unfinished_exports(conn)]


def _ask(context: Context, settings: ExportSettings, count: int) -> list[int]:
    ends = (settings.end - timedelta(microseconds=number + 1) for number in range(count))
    return [accept.store(context, replace(settings, end=end), None, CALLER.name) for end in ends]


def _save(begun: dict[str, list[float]], done: dict[str, list[float]], count: int, rounds: int) -> None:
    rows = []
    for what, measured, aim in (("stored", begun, "at most 5 ms"), ("until done", done, "")):
        median = {name: statistics.median(taken) for name, taken in measured.items()}
        (feed, of_feed), (asked, of_asked) = median.items()
        rows.append(results.Row(f"{feed}, {what}", of_feed, "ms", of_feed / of_asked, aim))
        rows.append(results.Row(f"{asked}, {what}", of_asked, "ms", 1.0))
    about = f"{count:,} of {CHANGED} rows each; the median of {rounds} rounds. Until done: one process runs one by one."
    results.save(results.Table("due_feeds", "Feeds that are due at once", about, "time against exports", tuple(rows)))


if __name__ == "__main__":
    main()
