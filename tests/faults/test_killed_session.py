"""A Postgres process dies in the middle of COPY. This is an outage like any other, and no error of the export."""

import contextlib
import signal

import psutil
import pytest

from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable
from tests.support.exporting import execute, request, settings_for
from tests.support.ftp_hosts import many_changed
from tests.support.invariants import FINAL, require_all_done
from tests.support.processes import Process, worker
from tests.support.served import wait_until


def test_export_survives_kill_of_the_postgres_process_that_sends_its_rows(context: Context):
    many_changed(context)
    with worker(context, CRASH_POINT="rows half written:1:SIGSTOP") as waiting:
        export_id = request(context, settings_for())
        wait_until(lambda: len(waiting.stopped()) == 1, "it is in the middle of COPY")
        kill_session(context, "COPY")
        wait_until(lambda: is_finished(context, export_id, waiting), "it is resumed")
    assert not waiting.said("Traceback")
    require_all_done(context, [export_id], logs=[waiting.log])


def kill_session(context: Context, query: str) -> None:
    """Kills the Postgres process of a query. Postgres then ends all sessions and recovers."""
    statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %s"
    (found,) = execute(context, statement, (f"{query}%",))
    try:
        psutil.Process(found["pid"]).kill()
    except psutil.Error:
        pytest.skip("Postgres runs elsewhere or as somebody else")


def is_finished(context: Context, export_id: int, waiting: Process) -> bool:
    for child in waiting.stopped():  # each further megabyte stops it again
        child.send_signal(signal.SIGCONT)
    with contextlib.suppress(DatabaseUnavailable):
        execute(context, "UPDATE export SET due_at = clock_timestamp() WHERE due_at > clock_timestamp()")
        return execute(context, "SELECT status FROM export WHERE id = %s", (export_id,))[0]["status"] in FINAL
    return False
