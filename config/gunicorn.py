"""gunicorn's configuration; `flask serve` and `gunicorn --config config/gunicorn.py wsgi:app` use it.

Threads, so that clients that read slowly or wait for the database hold a thread and not a process.
"""

import os

bind = os.environ.get("BIND", "127.0.0.1:8025")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 8
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 4094
limit_request_fields = 50
accesslog = None
control_socket_disable = True
