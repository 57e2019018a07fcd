"""gunicorn's configuration; `flask serve` and `gunicorn --config config/gunicorn.py wsgi:app` use it.

Threads, so that clients that read slowly or wait for the database hold a thread and not a process.
"""

import os

from gunicorn import util
from gunicorn.http.wsgi import Response

from contactexport.api.replies import raw_error

bind = os.environ.get("BIND", "127.0.0.1:8025")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 24
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 4094
limit_request_fields = 50
accesslog = None
control_socket_disable = True


headers_with_banner = Response.default_headers


def headers_without_banner(response):
    """There is no setting for not telling which server answers."""
    return [header for header in headers_with_banner(response) if not header.startswith("Server:")]


def write_error(sock, status_int, reason, _mesg):
    """What gunicorn refuses by itself, such as a malformed header, is answered in the envelope too."""
    if status_int == 501:  # a transfer coding it does not know: the request's fault, not ours
        status_int, reason = 400, "Bad Request"
    util.write_nonblock(sock, raw_error(status_int, reason))


def post_worker_init(_worker):
    """Once a worker process has started."""
    util.write_error = write_error
    Response.default_headers = headers_without_banner
