"""The figures of the whole service, read from Postgres at each look. Every server tells the same ones."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from contactexport import workers
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.errors import query_errors_translated
from contactexport.db.queries import queries
from contactexport.errors import ContactExportError
from contactexport.exports.models import ExportStatus
from contactexport.queue.publisher import QUEUES

TIME_LIMIT_SECONDS = 5
MAX_FEEDS = 1000  # those that lag most, since each has its own lines
FILES = {
    "seconds": ("contactexport_export_duration_seconds", "Time from accepting an export to its end, of exports done"),
    "rows": ("contactexport_export_rows", "Rows of an export, of exports done"),
    "bytes": ("contactexport_export_bytes", "Bytes of the file of an export, of exports done"),
}
STORAGE = {"free": "Free space of the disk of the storage folder", "size": "Size of the disk of the storage folder"}

_QUERIES = queries("metrics")
logger = logging.getLogger(__name__)


class ServiceCollector(Collector):
    """What Postgres knows, and the disk of the storage. A part that does not answer is `contactexport_up` 0."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        """Yields the families. Asks each database once, and waits at most TIME_LIMIT_SECONDS for each answer."""
        yield gauge("info", "The version of this server", ["version"], {(version("contactexport"),): 1})
        context, up, found = self._context, {}, list[Metric]()
        parts = [("database", context.database, of_exports), ("contacts database", context.contacts, of_log)]
        for part, database, read in parts:
            up[part,] = 1
            try:
                with query_errors_translated(), database.transaction() as conn:
                    queries("server").limit_statements(conn, milliseconds=str(TIME_LIMIT_SECONDS * 1000))
                    found += read(conn)
            except ContactExportError as error:
                logger.warning("figures lacking: %s: %s", part, error.text)
                up[part,] = 0
        try:
            context.storage.read_marker()
            up["storage",] = int(context.storage.exists())
        except ContactExportError as error:
            logger.warning("figures lacking: storage: %s", error.text)
            up["storage",] = 0
        space = context.storage.space()
        if space is not None and up["storage",]:  # object stores do not tell
            for name, value in (("free", space.free), ("size", space.total)):
                found.append(gauge(f"storage_{name}_bytes", STORAGE[name], [], {(): value}))
        yield gauge("up", "1 if this part answers this server", ["part"], up)
        yield from found


def of_exports(conn: Connection) -> list[Metric]:
    """Exports, deliveries, notifications, feeds and workers."""
    return [*exports(conn), *attempts(conn), *feeds(conn), *worker_figures(conn)]


def exports(conn: Connection) -> Iterator[Metric]:
    """How many there are, and what those that have ended were like."""
    totals, unfinished = list(_QUERIES.export_totals(conn)), list(_QUERIES.unfinished(conn))
    present = {(str(status),): 0 for status in ExportStatus}
    for row in (*totals, *unfinished):
        present[row["status"],] += row["present"]
    yield gauge("exports", "Exports by status", ["status"], present)
    running = sum(row["running"] for row in unfinished)
    yield gauge("exports_running", "Exports and deliveries that workers work on", [], {(): running})
    overdue = max((row["overdue"] or 0.0 for row in unfinished), default=0.0)
    text = "How long the oldest export or delivery has been due that nobody works on"
    yield gauge("export_oldest_due_seconds", text, [], {(): max(overdue, 0.0)})
    labels = ["origin", "method", "status"]
    ended = CounterMetricFamily("contactexport_exports_ended", "Exports that have ended", labels=labels)
    for row in totals:
        ended.add_metric([row[label] for label in labels], row["ended"])
    yield ended
    bounds = _QUERIES.bounds(conn)
    for what, (name, text) in FILES.items():
        family = HistogramMetricFamily(name, text, labels=labels[:2])
        for row in (row for row in totals if row["status"] == ExportStatus.DONE):
            counts = accumulate(sum(slots) for slots in zip(*row[f"{what}_buckets"], strict=True))
            ends = [*(format(bound, "g") for bound in bounds[what]), "+Inf"]
            buckets = list(zip(ends, counts, strict=True))
            family.add_metric([row["origin"], row["method"]], buckets, row[what])
        yield family


def attempts(conn: Connection) -> Iterator[Metric]:
    """Deliveries and notifications by result, and the notifications that wait."""
    deliveries = CounterMetricFamily(
        "contactexport_deliveries", "Attempts to deliver a file to a host", labels=["method", "result"]
    )
    notifications = CounterMetricFamily(
        "contactexport_notifications", "Attempts to notify a receiver", labels=["about", "result"]
    )
    for row in _QUERIES.attempt_totals(conn):
        family = deliveries if row["kind"] == "delivery" else notifications
        family.add_metric([row["method"], row["result"]], row["attempts"])
    due = _QUERIES.notifications_due(conn)
    yield deliveries
    yield notifications
    yield gauge("notifications_waiting", "Exports whose receiver is still to be notified", [], {(): due["waiting"]})
    overdue = max(due["overdue"] or 0.0, 0.0)
    yield gauge("notification_oldest_due_seconds", "How long the oldest notification has been due", [], {(): overdue})


def feeds(conn: Connection) -> Iterator[Metric]:
    """How far each feed lags, and how many are paused."""
    states = {(state,): count for state, count in _QUERIES.feed_states(conn).items()}
    yield gauge("feeds", "Feeds by state", ["state"], states)
    found = list(_QUERIES.feeds(conn, most=MAX_FEEDS))
    labels = ["team", "feed"]
    lags = {(row["team"], row["name"]): max(row["lag"], 0.0) for row in found}
    yield gauge("feed_lag_seconds", "Age of the end of a feed's last delivered window", labels, lags)
    late = {(row["team"], row["name"]): row["late"] or 0.0 for row in found}
    yield gauge("feed_late_seconds", "How long a feed that is not paused has been late", labels, late)


def worker_figures(conn: Connection) -> Iterator[Metric]:
    """The workers that live, and the last sweep."""
    living = workers.alive(conn)
    yield gauge("workers_alive", "Workers that have said lately that they live", [], {(): len(living)})
    processes = sum(one.processes for one in living)
    yield gauge("worker_processes", "Processes of these workers", [], {(): processes})
    of_queue = {(name,): sum(name in one.queues for one in living) for name in QUEUES}
    yield gauge("queue_workers", "Workers that take messages from a queue", ["queue"], of_queue)
    if (age := workers.sweep_age(conn)) is not None:
        yield gauge("sweep_age_seconds", "Time since the last sweep ended", [], {(): max(age, 0.0)})


def of_log(conn: Connection) -> list[Metric]:
    """The size of the log of changes."""
    size = _QUERIES.log_size(conn)
    return [
        gauge("log_rows", "Rows of the log of changes and removals, estimated by Postgres", [], {(): size["rows"]}),
        gauge("log_bytes", "Bytes of the log of changes and removals, estimated by Postgres", [], {(): size["bytes"]}),
    ]


def gauge(name: str, text: str, labels: Sequence[str], samples: Mapping[Any, float]) -> Metric:
    """A family with a sample for each tuple of values of its labels."""
    family = GaugeMetricFamily(f"contactexport_{name}", text, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family
