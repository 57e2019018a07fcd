"""No connection is shared across a fork: only the processes of a worker's pool connect to Postgres."""

import subprocess
import sys
from pathlib import Path

from contactexport.context import Context
from contactexport.embedded.local_service import PROJECT, LocalService
from tests.support.exporting import contact_changed, request, settings_for
from tests.support.invariants import wait_until_final
from tests.support.served import SHORT_WAITS

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


def test_parent_process_of_worker_opens_no_connection_to_postgres(context: Context, tmp_path: Path):
    contact_changed(context)
    pids = tmp_path / "pids"
    service = LocalService(context.settings.data_dir, 0, SHORT_WAITS | {"DATABASE_URL": context.database.url})
    worker = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(pids)], cwd=PROJECT, env=service.environment(), stderr=subprocess.DEVNULL
    )
    try:
        assert wait_until_final(context, request(context, settings_for()))["status"] == "done"
    finally:
        worker.terminate()
        assert worker.wait(timeout=60) == 0
    connected = {int(line) for line in pids.read_text().split()}
    assert connected
    assert worker.pid not in connected
