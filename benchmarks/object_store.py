"""Exports into an object store against exports into a folder: speed, and memory of a worker.

    python benchmarks/object_store.py --scale 0.01

The store is SeaweedFS on this machine, so it takes processor time from the export that it stores.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from pathlib import Path

import contacts
import export_runs
import memory
import results
from running_worker import worker
from tools.job import Job

import contactexport
from contactexport import setting_values
from contactexport.context import Context
from contactexport.files import storage_check

sys.path.append(str(contacts.PROJECT))
from tests.support import object_stores

ROWS = 10_000_000
CONTACTS_OF_OTHERS = 4_000_000  # the database of most benchmarks


def main() -> None:
    """Measures, prints and stores the table `object_store`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: exports of 10 million rows")
    parser.add_argument("--rounds", type=int, default=3, help="exports of each kind; the fastest counts")
    options = parser.parse_args()
    rows = max(round(ROWS * options.scale), 1000)
    with (
        contacts.server() as server,
        contacts.database_of(server, rows, upon=round(CONTACTS_OF_OTHERS * options.scale)) as filled,
        tempfile.TemporaryDirectory(dir=contacts.folder()) as folder,
        object_stores.seaweedfs() as store,
    ):
        os.environ.update(store.environment)
        in_folder = contacts.make_context(filled.database.url, Path(folder))
        storage = setting_values.storage(store.new_url())
        in_store = contactexport.make_context(dataclasses.replace(in_folder.settings, storage=storage))
        storage_check.require_storage(in_folder)
        in_store.storage.write_marker(in_folder.storage.read_marker() or "")
        job = export_runs.job_of(in_folder, (contacts.START, contacts.END))
        expected = export_runs.expected_sha256(job)
        seconds: dict[str, list[float]] = {"folder": [], "store": []}
        for _ in range(options.rounds):
            seconds["folder"].append(export_runs.run(in_folder, job, expected))
            seconds["store"].append(export_runs.run(in_store, job, expected))
        above = [_above_idle(context, job) for context in (in_folder, in_store)]
    _save({name: min(done) for name, done in seconds.items()}, above, rows, options.rounds)


def _above_idle(context: Context, job: Job) -> float:
    """Megabytes. A first export counts as idle: after it the worker has loaded everything."""
    with worker(context, 1) as process:
        memory.peak_of(context, dataclasses.replace(job, end=job.start), process.pid)
        _, idle, peak = memory.peak_of(context, job, process.pid)
    return (peak.rss - idle.rss) / memory.MEGABYTE


def _save(best: dict[str, float], above: list[float], rows: int, rounds: int) -> None:
    table = (
        results.Row("into a folder", best["folder"], "s", 1.0, more={"memory above idle": f"{above[0]:.1f} MB"}),
        results.Row(
            "into S3 (SeaweedFS here)",
            best["store"],
            "s",
            best["folder"] / best["store"],
            "at least 0.8, and at most 60 MB above idle",
            {"memory above idle": f"{above[1]:.1f} MB"},
        ),
    )
    about = f"{rows:,} rows; the fastest of {rounds} rounds. The store runs on the same machine."
    results.save(results.Table("object_store", "An object store against a folder", about, "speed of the folder", table))


if __name__ == "__main__":
    main()
