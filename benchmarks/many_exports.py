"""The queries of requests, workers and sweeps with 5 million finished exports in the table, and few unfinished ones.

    python benchmarks/many_exports.py --scale 0.1

The median of several executions counts, as Postgres reports it. Whatever a query changes is rolled back. Then there are
10,000 unfinished exports for what depends on them. Last, exports go through all their states, as in half a day with
100,000 exports, and what their dead rows cost is measured before VACUUM and after it. The filled database stays for the
next run, 7 GB at scale 1.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import contacts
import results
from psycopg2 import sql

from contactexport.context import Context
from contactexport.db import migrate
from contactexport.db.queries import queries as program_queries

FINISHED = 5_000_000
FEW_DUE, MANY_DUE = 100, 10_000
USERS = 1000
FEEDS = 1000
NOTIFICATIONS = 100
BATCH = 500_000
MOST_MS = 50
WITHOUT_AIM = ("sweep: whose files, 100,000",)
DATABASE = "contactexport_bench_many_exports_{}"
MARK = "complete, version 1"
# One in so many changes its state before VACUUM: as many as in half a day with 100,000.
CHANGING_PART = 100
CHANGES_AT_ONCE = 100
# Queries that pass over the dead rows of exports that have changed their state.
OF_UNFINISHED = (
    "next exports",
    "next deliveries",
    "sweep: exports to wake",
    "sweep: deliveries to wake",
    "is one held back",
    "doctor: queue",
    "metrics: unfinished",
)
AFTER_CHANGES = ("next exports", "next deliveries", "is one held back", "list: an operator's ready", "doctor: queue")
NO_OTHER_FORM = {"delivered": None, "manifest": None}


def main() -> None:
    """Measures, prints and stores the tables `many_exports`, `many_exports_due` and `many_exports_upkeep`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 5 million finished exports")
    parser.add_argument("--rounds", type=int, default=5, help="executions of each query; the median one counts")
    options = parser.parse_args()
    numbers = {
        "finished": max(round(FINISHED * options.scale), 2000),
        "users": USERS,
        "feeds": max(round(FEEDS * options.scale), 10),
    }
    many = max(round(MANY_DUE * options.scale), 2 * FEW_DUE)
    with contacts.server() as server, filled(server, numbers) as context, context.database.session() as conn:
        asked = _queries(conn, numbers)
        _have_due(conn, numbers, FEW_DUE)
        contacts.settle(server)
        _save("many_exports", "Queries among many exports", asked, conn, {**numbers, "due": FEW_DUE}, options.rounds)
        _have_due(conn, numbers, many)
        contacts.settle(server)
        waiting = {name: asked[name] for name in OF_UNFINISHED}
        _save("many_exports_due", "Many exports due", waiting, conn, {**numbers, "due": many}, options.rounds)
        _have_due(conn, numbers, FEW_DUE)
        upkeep = _upkeep(conn, {name: asked[name] for name in AFTER_CHANGES}, numbers, options.rounds)
    changed = upkeep.pop("changes")
    about = f"{changed:,.0f} exports went through all their states before VACUUM, {CHANGES_AT_ONCE} at a time."
    rows = tuple(results.Row(name, value, unit) for (name, unit), value in upkeep.items())
    results.save(results.Table("many_exports_upkeep", "Upkeep of many exports", about, "", rows))


@cache
def queries() -> Any:
    """The queries of many_exports.sql."""
    return aiosql.from_path(Path(__file__).with_suffix(".sql"), "psycopg2", mandatory_parameters=False)


@contextmanager
def filled(server: str, numbers: Mapping[str, int]) -> Iterator[Context]:
    """The context of a database with so many exports, with the schema of now. It is filled if it is missing."""
    name = DATABASE.format(numbers["finished"])
    with contacts.connected(server) as conn:
        complete = contacts.queries().is_complete(conn, name=name, mark=MARK)
    if not complete:
        contacts.administer(server, "drop_database", name=sql.Identifier(name))
        contacts.create(server, name, "template0")
    with contacts.context_of(server, name) as context:
        began = time.perf_counter()
        migrate.upgrade(context.database)
        if complete:
            print(f"upgraded in {time.perf_counter() - began:.1f} s", flush=True)
        if not complete:
            _fill(context, numbers)
            contacts.administer(server, "mark_complete", name=sql.Identifier(name), mark=sql.Literal(MARK))
        yield context


def _fill(context: Context, numbers: Mapping[str, int]) -> None:
    last = numbers["finished"]
    with context.database.session() as conn, conn.cursor() as cursor:
        queries().add_users(conn, **numbers)
        queries().add_feeds(conn, **numbers)
        indexes = list(queries().drop_indexes(conn))
        for index in indexes:
            cursor.execute(index["drop"])
        for above in range(0, last, BATCH):
            print(f"adding exports from {above:,}", flush=True)
            queries().add_exports(conn, **numbers, above=above, last=min(above + BATCH, last))
        for index in indexes:
            cursor.execute(index["create"])
        queries().add_marks(conn)
        queries().add_notifications(conn, finished=numbers["finished"], due=NOTIFICATIONS)
        queries().tidy(conn)


def _have_due(conn: Any, numbers: Mapping[str, int], due: int) -> None:
    """Half of them wait for a worker, half for a delivery."""
    queries().forget_due(conn, finished=numbers["finished"])
    queries().add_exports(conn, **numbers, above=numbers["finished"], last=numbers["finished"] + due)
    queries().go_on_counting(conn)
    queries().vacuum(conn)


def _queries(conn: Any, numbers: Mapping[str, int]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """By what it is for: the file, the query, and its parameters."""
    newest = numbers["finished"]
    middle = newest // 2
    key = program_queries("export").get_export(conn, id=middle)["setting_key"]
    turn = {"most_running": 1, "patience": 600}
    page: dict[str, Any] = {"team": None, "status": None, "before": None, "limit": 100}
    fence = {"attempt": 1, "fence": 1}
    found = {
        "status of an export": ("export", "get_export", {"id": middle}),
        "is the setting unfinished": ("export", "running_export", {"setting_key": key, "team": "team 0"}),
        "list: an operator's newest": ("export", "list_exports", page),
        "list: an operator's, before": ("export", "list_exports", page | {"before": middle}),
        "list: a team's newest": ("export", "list_exports", page | {"team": "team 3"}),
        "list: a team's, before": ("export", "list_exports", page | {"team": "team 3", "before": middle}),
        "list: a team without exports": ("export", "list_exports", page | {"team": "no such team"}),
        "next exports": ("export", "exports_in_turn", turn | {"deliveries": False, "most": 20}),
        "next deliveries": ("export", "exports_in_turn", turn | {"deliveries": True, "most": 20}),
        "sweep: exports to wake": ("export", "exports_in_turn", turn | {"deliveries": False, "most": 1000}),
        "sweep: deliveries to wake": ("export", "exports_in_turn", turn | {"deliveries": True, "most": 1000}),
        "is one held back": ("export", "has_held_back", {}),
        "sweep: expired files, none": ("export", "expired", {"retention": 31 * 86400, "most": 50, "left_out": []}),
        "sweep: expired files, 1,000": ("export", "expired", {"retention": 86400, "most": 1000, "left_out": []}),
        "sweep: whose files, 1,000": ("export", "keep_files", {"ids": list(range(middle, middle + 1000))}),
        "sweep: notifications due": ("notification", "due_notifications", {"most": 100}),
        "sweep: feeds due": ("feed", "lock_due_feeds", {"most": 200}),
        "sweep: feeds planned in future": ("feed", "lock_planned_in_future", {}),
        "sweep: feeds late": ("feed", "note_late", {}),
        "sweep: feed events due": ("feed", "due_events", {"most": 100}),
        "sweep: whose files, 100,000": ("export", "keep_files", {"ids": list(range(max(newest - 100_000, 0), newest))}),
        "list of feeds": ("feed", "find_feeds", {"team": None, "name": None}),
        "delivered export of a feed": ("feed", "delivered_export", {"id": 3, "sequence": 5}),
        "newest export of a feed": ("feed", "newest_export", {"id": 3}),
        "newest export of a feed without": ("feed", "newest_export", {"id": 2 * numbers["feeds"]}),
        "place in its feed": ("manifest", "place_in_feed", {"id": middle // 5 * 5}),
        "doctor: queue": ("doctor", "queue", {"patience": 600}),
        "claim": ("export", "claim_export", {"id": newest + 1, "setting_key": key, "deliveries": None}),
        "done": (
            "export",
            "mark_done",
            fence | {"id": newest + 1, "reply": "226 Transfer complete", "delivered": None, "manifest": None},
        ),
    }
    for name in (
        "bounds",
        "export_totals",
        "attempt_totals",
        "unfinished",
        "notifications_due",
        "feed_states",
        "log_size",
    ):
        found[f"metrics: {name.replace('_', ' ')}"] = ("metrics", name, {})
    found["metrics: feeds"] = ("metrics", "feeds", {"most": 1000})
    for status in ("scheduled", "in progress", "ready", "done", "error"):
        found[f"list: an operator's {status}"] = ("export", "list_exports", page | {"status": status})
        found[f"list: a team's {status}"] = ("export", "list_exports", page | {"status": status, "team": "team 3"})
    return found


def _median(conn: Any, file: str, query: str, parameters: Mapping[str, Any], rounds: int) -> tuple[float, list[str]]:
    """The milliseconds that the execution takes, and the tables that it reads wholly."""
    statement = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + getattr(program_queries(file), query).sql
    taken = []
    with conn.cursor() as cursor:
        for _ in range(rounds):
            cursor.execute("BEGIN")
            cursor.execute(statement, parameters)
            plan = cursor.fetchone()["QUERY PLAN"][0]
            cursor.execute("ROLLBACK")
            taken.append(plan["Execution Time"] + plan["Planning Time"])
    return statistics.median(taken), _scans(plan["Plan"])


def _scans(node: Mapping[str, Any]) -> list[str]:
    """The tables of the program that a plan scans from the first to the last row."""
    relation = node.get("Relation Name", "")
    whole = node["Node Type"] == "Seq Scan" and not relation.startswith("pg_")
    return [relation] * whole + [scan for child in node.get("Plans", ()) for scan in _scans(child)]


def _save(
    name: str,
    title: str,
    asked: Mapping[str, tuple[str, str, dict[str, Any]]],
    conn: Any,
    numbers: Mapping[str, int],
    rounds: int,
) -> None:
    measured = {what: _median(conn, *query, rounds) for what, query in asked.items()}
    rows = []
    for what, (milliseconds, scans) in sorted(measured.items(), key=lambda item: -item[1][0]):
        aim = "" if what in WITHOUT_AIM else f"at most {MOST_MS} ms"
        rows.append(
            results.Row(what, milliseconds, "ms", aim=aim, more={"reads all of": ", ".join(dict.fromkeys(scans))})
        )
    about = (
        f"{numbers['finished']:,} finished and {numbers['due']:,} due exports of {numbers['users']:,} users, "
        f"{numbers['feeds']:,} feeds; planning and execution, the median of {rounds}."
    )
    results.save(results.Table(name, title, about, "", tuple(rows)))


def _upkeep(
    conn: Any, asked: Mapping[str, tuple[str, str, dict[str, Any]]], numbers: Mapping[str, int], rounds: int
) -> dict[Any, float]:
    """What changes of state leave behind, by name and unit, and the number of exports under `changes`."""
    last = numbers["finished"] // CHANGING_PART
    steps = (queries().ask_again, queries().begin_again, queries().be_ready_again, queries().end_again)
    sizes = queries().sizes(conn)
    found: dict[Any, float] = {
        ("an export", "bytes"): sizes["rows"] / sizes["exports"],
        ("its entries in indexes", "bytes"): sizes["indexes"] / sizes["exports"],
    }
    queries().leave_to_hand_vacuum(conn)
    try:
        seconds = 0.0
        for above in range(0, last, CHANGES_AT_ONCE):
            part = {"above": above, "last": min(above + CHANGES_AT_ONCE, last)}
            seconds += sum(_seconds(step, conn, **part) for step in steps)
        found["four changes of the state of an export", "ms"] = 1000 * seconds / last
        for name, query in asked.items():
            found[f"{name}, first after that", "ms"] = _median(conn, *query, 1)[0]
            found[f"{name}, then", "ms"] = _median(conn, *query, rounds)[0]
        found["VACUUM", "s"] = _seconds(queries().vacuum, conn)
        for name, query in asked.items():
            found[f"{name}, after VACUUM", "ms"] = _median(conn, *query, rounds)[0]
        found["DELETE of an export without a file", "ms"] = 1000 * _deleted(conn, numbers)
    finally:
        queries().leave_to_autovacuum(conn)
    return found | {"changes": last}


def _deleted(conn: Any, numbers: Mapping[str, int]) -> float:
    """The seconds to delete one of the oldest exports. They stay."""
    above = numbers["finished"] // 10
    with conn.cursor() as cursor:
        cursor.execute("BEGIN")
        began = time.perf_counter()
        deleted = queries().delete_old(conn, above=above, last=above + numbers["finished"] // 50)
        seconds = time.perf_counter() - began
        cursor.execute("ROLLBACK")
    return float(seconds / max(deleted, 1))


def _seconds(step: Any, conn: Any, **values: int) -> float:
    began = time.perf_counter()
    step(conn, **values)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
