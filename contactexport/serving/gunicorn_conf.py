"""The configuration of gunicorn.

    gunicorn --config python:contactexport.serving.gunicorn_conf 'contactexport:create_app()'

Each active connection has a thread. Slow clients have limits (docs/decisions/serving.md).
"""

import gc
import ipaddress
import logging
import mmap
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import Response

from contactexport import create_app, readiness
from contactexport.api.proxies import TRUSTED_PROXIES
from contactexport.api.responses import raw_error
from contactexport.metrics import requests

bind = os.environ.get("BIND", "127.0.0.1:8025")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "contactexport.serving.timed_worker.TimedThreadWorker"
threads = 200
# Connections beyond the threads wait for a thread, or for their next request. With one open file for each thread the
# sum stays below 1024, the usual limit of open files.
worker_connections = 600
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 4094
limit_request_fields = 50
accesslog = None
logger_class = "contactexport.serving.server_log.ServerLog"
control_socket_disable = True

# For this long after SIGTERM requests are still answered, but /readyz says 503: a load balancer can move on.
drain_seconds = float(os.environ.get("DRAIN_SECONDS", "3"))
draining = mmap.mmap(-1, 1)  # one byte, shared with the worker processes

shared_counts: list[Path] = []

default_headers = Response.default_headers
logger = logging.getLogger(__name__)


def headers_without_server(response: Any) -> list[str]:
    """Returns the headers of gunicorn without `Server`, because it has no setting for that."""
    return [header for header in default_headers(response) if not header.startswith("Server:")]


def write_error(sock: socket.socket, status: int, reason: str, _message: str) -> None:
    """Answers in the envelope what gunicorn itself refuses, such as a malformed header."""
    if status == 501:  # an unknown transfer coding is an error of the client
        status, reason = 400, "Bad Request"
    util.write_nonblock(sock, raw_error(status, reason))


def on_starting(_server: Any) -> None:
    """Checks the URLs before any process is forked, and makes the folder in which all of them count requests."""
    context = create_app().extensions["contactexport"]
    readiness.require_usable_urls(context)
    try:
        shared_counts.append(requests.share(context.settings.data_dir))
    except OSError as error:
        logger.warning("each process counts requests for itself: %s", error)


def on_exit(_server: Any) -> None:
    """Removes that folder."""
    for folder in shared_counts:
        shutil.rmtree(folder, ignore_errors=True)


def when_ready(server: Any) -> None:
    """Makes SIGTERM drain the server first."""
    server.handle_term = lambda: drain(server)


def drain(server: Any) -> None:
    """Waits `drain_seconds`, or until another signal arrives. Then gunicorn stops as it does on SIGTERM."""
    draining[0] = 1
    deadline = time.monotonic() + drain_seconds
    while time.monotonic() < deadline:
        # Signals about worker processes do not cut the wait short.
        if not server.SIG_QUEUE.empty() and server.SIG_QUEUE.get() not in (signal.SIGCHLD, server.WAKEUP_REQUEST):
            break
        time.sleep(0.05)
    raise StopIteration


def post_worker_init(worker: Any) -> None:
    """Sets limits, proxies and error answers in a worker process that has loaded its application."""
    gc.collect()
    gc.freeze()  # imported objects stay for good: the collector need not visit them again
    extensions = worker.wsgi.extensions
    if context := extensions.get("contactexport"):  # the benchmarks serve applications without one
        worker.request_seconds = context.settings.request_timeout
        worker.send_seconds = context.settings.send_timeout
    # gunicorn believes X-Forwarded-Proto from the same networks.
    everyone = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    trusts_all = "*" in worker.cfg.forwarded_allow_ips
    extensions[TRUSTED_PROXIES] = everyone if trusts_all else worker.cfg.forwarded_allow_networks()
    extensions["is_draining"] = lambda: draining[0] == 1
    util.write_error = write_error
    Response.default_headers = headers_without_server
