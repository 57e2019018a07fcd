"""Nothing is shared across a fork: only the processes of a worker's pool talk to Postgres."""

import subprocess
import sys
from pathlib import Path

from exporting import contact_changed, request, settings_for
from invariants import wait_until_final
from served import SHORT_WAITS

from contactexport.backend import Backend
from contactexport.embedded.local_service import PROJECT, LocalService

WATCHED = """
import os, sys, psycopg2
connect = psycopg2.connect
def noted(*arguments, **options):
    with open(sys.argv[1], "a") as pids:
        print(os.getpid(), file=pids)
    return connect(*arguments, **options)
psycopg2.connect = noted
from celery_worker import app
app.worker_main(["worker", "--concurrency", "1", "--loglevel", "WARNING"])
"""


def test_the_worker_itself_opens_no_connection_to_postgres(backend: Backend, tmp_path: Path):
    contact_changed(backend)
    pids = tmp_path / "pids"
    service = LocalService(backend.settings.data_dir, 0, SHORT_WAITS | {"DATABASE_URL": backend.database.url})
    worker = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(pids)], cwd=PROJECT, env=service.environment(), stderr=subprocess.DEVNULL
    )
    try:
        assert wait_until_final(backend, request(backend, settings_for()))["status"] == "done"
    finally:
        worker.terminate()
        assert worker.wait(timeout=60) == 0
    connected = {int(line) for line in pids.read_text().split()}
    assert connected
    assert worker.pid not in connected
