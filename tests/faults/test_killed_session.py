"""A Postgres process dies in the middle of COPY: an outage like any other, and not an error of the export."""

import contextlib
import signal

import psutil
import pytest
from exporting import execute, request, settings_for
from ftp_hosts import many_changed
from invariants import FINAL, require_all_done
from processes import Process, worker
from served import wait_until

from contactexport.backend import Backend
from contactexport.errors import DatabaseUnavailable


def test_kill_9_of_the_postgres_process_that_sends_the_rows(backend: Backend):
    many_changed(backend)
    with worker(backend, CRASH_POINT="rows half written:1:SIGSTOP") as waiting:
        export_id = request(backend, settings_for())
        wait_until(lambda: len(waiting.stopped()) == 1, "it is in the middle of COPY")
        kill_session(backend, "COPY")
        wait_until(lambda: is_finished(backend, export_id, waiting), "it is resumed")
    assert not waiting.said("Traceback")
    require_all_done(backend, [export_id], logs=[waiting.log])


def kill_session(backend: Backend, query: str) -> None:
    """Postgres then ends all sessions and recovers."""
    statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %s"
    (found,) = execute(backend, statement, (f"{query}%",))
    try:
        psutil.Process(found["pid"]).kill()
    except psutil.Error:
        pytest.skip("Postgres runs elsewhere or as somebody else")


def is_finished(backend: Backend, export_id: int, waiting: Process) -> bool:
    for child in waiting.stopped():  # at each megabyte it still has
        child.send_signal(signal.SIGCONT)
    with contextlib.suppress(DatabaseUnavailable):
        execute(backend, "UPDATE export SET due_at = clock_timestamp() WHERE due_at > clock_timestamp()")
        return execute(backend, "SELECT status FROM export WHERE id = %s", (export_id,))[0]["status"] in FINAL
    return False
