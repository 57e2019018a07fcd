"""Counts the requests of a server. Its processes share files in a folder, so that each of them can tell all."""

import os
import shutil
import socket
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, values
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client looks for the folder
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
UNKNOWN = "unknown"  # the route of a path that does not exist, so that strangers cannot make up names

disable_created_metrics()  # when a counter began: Prometheus notices a restart without it


class RequestMetrics:
    """The figures of this process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "contactexport_requests",
            "Requests answered by this server",
            ["route", "http", "reply_code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "contactexport_request_seconds",
            "Time from the first line of a request to the beginning of its answer",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    def count(self, route: str, http: int, reply_code: int | None, seconds: float) -> None:
        """Counts a request. `reply_code` is None if the answer has no envelope, such as a file."""
        self._requests.labels(route, http, "" if reply_code is None else reply_code).inc()
        self._seconds.labels(route).observe(seconds)

    def all_of_this_server(self) -> CollectorRegistry:
        """A registry with the figures of every process of this server, also of those that have ended."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if folder is None:
            return self.registry
        shared = CollectorRegistry()
        MultiProcessCollector(shared, folder)  # type: ignore[no-untyped-call]
        return shared


@cache
def of_this_process() -> RequestMetrics:
    """The figures of this process. Made at the first request, so a process that forks others has none."""
    return RequestMetrics()


def share(data_dir: Path) -> Path:
    """Makes an empty folder in which the processes of this server count. Their parent calls it before it forks them.

    Removes folders that servers of this machine have left that were killed. Raises OSError.
    """
    parent, host = data_dir / "metrics", socket.gethostname()
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{host}-*"):
        pid = left.name.rpartition("-")[2]
        if not Path("/proc", pid).exists() or pid == str(os.getpid()):
            shutil.rmtree(left, ignore_errors=True)
    folder = (parent / f"{host}-{os.getpid()}").absolute()
    folder.mkdir(mode=0o700)
    os.environ[FOLDER_VARIABLE] = str(folder)
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
    return folder
