"""How long an export of one contact takes from the request to `done`, with an idle worker.

    python benchmarks/latency.py

With real HTTP to gunicorn and a real worker; with the folder broker, and with RabbitMQ and Redis if they run on this
machine (`BENCH_RABBITMQ_URL`, `BENCH_REDIS_URL`). The worker writes the time of `done`, so no polling is needed.
"""

import argparse
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import api_throughput
import contacts
import export_runs
import http_load
import results
from http_load import prepared
from running_server import serving
from running_worker import wait_for, worker
from tools.job import FIELDS, Job

import contactexport
from contactexport.context import Context
from contactexport.exports.models import Export

CONTACTS = 1_000_000
EXPORTS = 30
PAUSE_SECONDS = 0.15
BROKERS = {
    "folder broker": (None, 250),
    "RabbitMQ": (os.environ.get("BENCH_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"), 100),
    "Redis": (os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/9"), 100),
}
STEPS: dict[str, Callable[[Any], float]] = {
    "request to row": lambda one: one.export.created_at.timestamp() - one.sent,
    "row to claim": lambda one: (one.export.started_at - one.export.created_at).total_seconds(),
    "claim to file": lambda one: (one.export.ready_at - one.export.started_at).total_seconds(),
    "file to done": lambda one: (one.export.finished_at - one.export.ready_at).total_seconds(),
}


@dataclass(frozen=True)
class Timed:
    """An export and the time of its request."""

    sent: float
    export: Export

    @property
    def seconds(self) -> float:
        """The seconds from the request to `done`."""
        ended = self.export.finished_at
        return float("nan") if ended is None else ended.timestamp() - self.sent


def main() -> None:
    """Measures, prints and stores the tables `latency` and `latency_steps`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 30 exports by each broker")
    scale = parser.parse_args().scale
    exports = max(round(EXPORTS * scale), 3)
    timed: dict[str, list[Timed]] = {}
    with contacts.server() as server, contacts.database_of(server, max(round(CONTACTS * scale), 1000)) as filled:
        for name, (url, _) in BROKERS.items():
            if url is None or _answers(url):
                with tempfile.TemporaryDirectory(dir=contacts.folder()) as folder:
                    timed[name] = _timed(_context(filled, Path(folder), url), exports)
    _save(timed, exports)


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except OSError:
        return False
    return True


def _context(filled: Context, folder: Path, broker_url: str | None) -> Context:
    settings = contacts.make_context(filled.database.url, folder).settings
    return contactexport.make_context(replace(settings, broker_url=broker_url))


def _timed(context: Context, exports: int) -> list[Timed]:
    """Runs the exports one after the other, after a few that do not count. Raises WrongExport."""
    token = api_throughput.prepared_tokens(context)[0]
    start, end = contacts.window_with(context, 1)
    job = Job(context.database.url, start.isoformat(), end.isoformat(), Path())
    expected = export_runs.expected_sha256(job)
    done = []
    with serving(context, "wsgi:app") as port, worker(context, 1):
        for number in range(exports + 3):
            # Each has a different setting: the window begins a little earlier.
            body = _body(start - timedelta(microseconds=number + 1), end)
            request = prepared("POST", "/api/v2/contact/getchanges", token, body)
            sent = time.time()
            (answer,) = http_load.send(port, [request], 1).answers
            (export,) = wait_for(context, [answer["data"]["id"]])
            export_runs.require(export, expected)
            done.append(Timed(sent, export))
            time.sleep(PAUSE_SECONDS)
    return done[3:]


def _body(start: object, end: object) -> dict[str, object]:
    return {
        "distribution_method": "local",
        "origin": "form",
        "origin_id": contacts.FORM,
        "time_range": [str(start), str(end)],
        "contact_fields": list(FIELDS),
        "language": "en",
    }


def _save(timed: dict[str, list[Timed]], exports: int) -> None:
    about = f"One contact, local, {exports} exports one after the other by each broker; the worker is idle before each."
    rows = [_row(name, aim, timed.get(name)) for name, (_, aim) in BROKERS.items()]
    results.save(results.Table("latency", "From the request to done", f"{about} The median counts.", "", tuple(rows)))
    steps = [
        results.Row(f"{name}: {step}", 1000 * statistics.median(take(one) for one in done), "ms")
        for name, done in timed.items()
        for step, take in STEPS.items()
    ]
    results.save(results.Table("latency_steps", "Where the time goes", f"{about} Medians.", "", tuple(steps)))


def _row(name: str, aim: int, done: Sequence[Timed] | None) -> results.Row:
    if done is None:
        return results.Row(name, None, "ms", None, f"at most {aim} ms", {"slowest of 20": "does not run here"})
    seconds = sorted(one.seconds for one in done)
    slow = {"slowest of 20": f"{1000 * seconds[len(seconds) * 19 // 20]:.0f} ms"}
    return results.Row(
        f"contactexport, {name}", 1000 * statistics.median(seconds), "ms", None, f"at most {aim} ms", slow
    )


if __name__ == "__main__":
    main()
