"""How long `flask contacts adopt` takes, for how long it blocks writers, and what a join costs an export.

    python benchmarks/adopting.py --scale 0.1

A program updates one customer after the other while the table is adopted. Its longest update counts. Then the same
contacts are exported twice: the name of the country is a column of the table, or comes from a joined table.
"""

import argparse
import shutil
import statistics
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import contacts
import export_runs
import results
from psycopg2 import sql

from contactexport.adopt.apply import apply
from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.exports import accept
from contactexport.exports import run as run_export
from contactexport.exports.models import ALL_TIME, ExportSettings

CUSTOMERS = 5_000_000
PAUSE_SECONDS = 0.005


def main() -> None:
    """Measures, prints and stores the table `adopting`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 5,000,000 customers")
    parser.add_argument("--rounds", type=int, default=3, help="exports of each kind; the median counts")
    options = parser.parse_args()
    customers = max(round(CUSTOMERS * options.scale), 1000)
    name = "contactexport_bench_adopting"
    with contacts.server() as server:
        contacts.administer(server, "drop_database", name=sql.Identifier(name))
        contacts.create(server, name, "template0")
        shutil.rmtree(contacts.folder() / name, ignore_errors=True)  # it belongs to the database of an earlier run
        with contacts.context_of(server, name) as context:
            rows = _measured(context, customers, options.rounds)
        contacts.administer(server, "drop_database", name=sql.Identifier(name))
    about = (
        f"{customers:,} customers in one table, adopted while another program updates them one by one. Exports of all "
        f"of them: the median of {options.rounds}."
    )
    results.save(results.Table("adopting", "Adopting a table", about, "of a plain table", tuple(rows)))


@cache
def queries() -> Any:
    """The queries of adopting.sql."""
    return aiosql.from_path(Path(__file__).with_suffix(".sql"), "psycopg2", mandatory_parameters=False)


def _measured(context: Context, customers: int, rounds: int) -> list[results.Row]:
    migrate.upgrade(context.database)
    with contacts.connected(context.database.url) as conn:
        queries().make(conn)
        queries().fill(conn, customers=customers)
        queries().finish(conn)
        queries().settle(conn)
    with _Writer(context.database.url) as writer:
        began = time.perf_counter()
        apply(context, _plan(joined=False))
        adopting = time.perf_counter() - began
    began = time.perf_counter()
    apply(context, _plan(joined=False), first_export=True)
    logging = time.perf_counter() - began
    plain = statistics.median(_export(context, customers) for _ in range(rounds))
    apply(context, _plan(joined=True))
    joined = statistics.median(_export(context, customers) for _ in range(rounds))
    return [
        results.Row(f"contactexport, adopting {customers:,} rows", adopting, "s", aim="at most 30 s"),
        results.Row("contactexport, longest update meanwhile", writer.longest, "s", aim="at most 1 s"),
        results.Row("contactexport, logging each for a first export", logging, "s"),
        results.Row("contactexport, export of a plain table", plain, "s"),
        results.Row("contactexport, the same with a join", joined, "s", joined / plain, "at most 1.3"),
    ]


def _plan(*, joined: bool) -> Plan:
    return Plan(
        table="public.customer",
        key="id",
        fields=(
            FieldMapping(1, "First Name", "shorttext", "first_name", "customer.given_name"),
            FieldMapping(3, "E-Mail", "longtext", "email", "customer.mail"),
            FieldMapping(14, "Country", "shorttext", "country", "country.name" if joined else "customer.country_name"),
        ),
        origin=OriginRule("form", "customer.form"),
        joins=(Join("public.country", "country.id = customer.country_id"),) if joined else (),
    )


def _export(context: Context, customers: int) -> float:
    """The seconds of an export of every contact that was logged. Raises WrongExport unless it has all of them."""
    start, end = ALL_TIME
    settings = ExportSettings(
        distribution_method="local",
        origin="all",
        origin_ids=(),
        start=start,
        end=end,
        contact_fields=(1, 3, 14),
        delimiter=",",
        header=True,
        language="en",
    )
    export_id = accept.store(context, settings, None, "benchmark")
    began = time.perf_counter()
    done = run_export.run(context, export_id)
    seconds = time.perf_counter() - began
    if done is None or done.status != "done" or done.rows != customers:
        raise export_runs.WrongExport(f"{done}, {customers:,} rows expected")
    export_runs.remove(context, done)
    return seconds


class _Writer:
    """Updates one customer after the other in a thread. `longest` is the longest update, in seconds."""

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "_Writer":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        with contacts.connected(self._url) as conn:
            number = 0
            while not self._stop.wait(PAUSE_SECONDS):
                number += 1
                began = time.perf_counter()
                queries().visit(conn, id=number)
                self.longest = max(self.longest, time.perf_counter() - began)


if __name__ == "__main__":
    main()
