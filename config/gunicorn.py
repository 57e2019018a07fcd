"""gunicorn's configuration; `flask serve` and `gunicorn --config config/gunicorn.py wsgi:app` use it.

A thread for each connection that is at work, and limits for clients that are slow (docs/decisions/serving.md).
"""

import gc
import ipaddress
import mmap
import os
import signal
import time

from gunicorn import util
from gunicorn.http.wsgi import Response

from contactexport import create_app
from contactexport.api.client_address import TRUSTED_PROXIES
from contactexport.api.replies import raw_error
from contactexport.batch_scheduling import schedule_as_batch
from contactexport.services import check_start

bind = os.environ.get("BIND", "127.0.0.1:8025")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "contactexport.serving.timed_worker.TimedThreadWorker"
threads = 200
# Those beyond the threads wait for one, or for their next request. With a file for each thread it is less than 1024.
worker_connections = 600
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 4094
limit_request_fields = 50
accesslog = None
control_socket_disable = True

# For so many seconds after SIGTERM all is answered as before and /readyz with 503, so that whoever sends requests here
# can look for another server.
drain_seconds = float(os.environ.get("DRAIN_SECONDS", "3"))
draining = mmap.mmap(-1, 1)  # one byte that this process and its workers share


headers_with_banner = Response.default_headers


def headers_without_banner(response):
    """There is no setting for not telling which server answers."""
    return [header for header in headers_with_banner(response) if not header.startswith("Server:")]


def write_error(sock, status_int, reason, _mesg):
    """What gunicorn refuses by itself, such as a malformed header, is answered in the envelope too."""
    if status_int == 501:  # a transfer coding it does not know: the request's fault, not ours
        status_int, reason = 400, "Bad Request"
    util.write_nonblock(sock, raw_error(status_int, reason))


def on_starting(_server):
    """Before there is any other process."""
    check_start.check(create_app().extensions["contactexport"])


def when_ready(server):
    """Once the server listens: SIGTERM ends it, but not before others could notice."""
    server.handle_term = lambda: drain(server)


def drain(server):
    """Waits, unless another signal tells to hurry, and then lets gunicorn end as it does on SIGTERM."""
    draining[0] = 1
    give_up = time.monotonic() + drain_seconds
    while time.monotonic() < give_up and not hurried(server):
        time.sleep(0.05)
    raise StopIteration


def hurried(server):
    """True when a signal has come meanwhile that is not about a worker process."""
    return not server.SIG_QUEUE.empty() and server.SIG_QUEUE.get() not in (signal.SIGCHLD, server.WAKEUP_REQUEST)


def post_worker_init(worker):
    """Once a worker process has started."""
    schedule_as_batch()  # before there are threads, which follow it
    gc.collect()
    gc.freeze()  # what was imported stays: there is no use in looking through it again and again
    limit_clients(worker)
    worker.wsgi.extensions[TRUSTED_PROXIES] = trusted_proxies(worker.cfg)
    worker.wsgi.extensions["is_draining"] = lambda: draining[0] == 1
    util.write_error = write_error
    Response.default_headers = headers_without_banner


def limit_clients(worker):
    """As the settings say; the benchmarks serve applications that have none."""
    backend = worker.wsgi.extensions.get("contactexport")
    if backend is not None:
        worker.request_seconds = backend.settings.request_timeout
        worker.send_seconds = backend.settings.send_timeout


def trusted_proxies(cfg):
    """The networks of FORWARDED_ALLOW_IPS, which gunicorn itself believes X-Forwarded-Proto from."""
    everybody = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    return everybody if "*" in cfg.forwarded_allow_ips else cfg.forwarded_allow_networks()
