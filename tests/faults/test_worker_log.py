"""A worker logs one line for each event in our format, whatever happens, and leaves no file in /tmp."""

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from contactexport.context import Context
from tests.support import brokers
from tests.support.broker_line import BrokerLine, broker_line
from tests.support.exporting import contact_changed, other_session, request, row_of, settings_for
from tests.support.invariants import wait_until_final
from tests.support.processes import Process, start
from tests.support.served import wait_until

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: \S")
# How somebody starts it who has not read the docs.
COMMAND = ["celery", "--app", "celery_worker", "worker", "--concurrency", "1", "--loglevel", "INFO"]


def require_lines(running: Process) -> list[str]:
    lines = running.log.read_text().splitlines()
    assert [line for line in lines if not LINE.match(line)] == []
    return lines


def breakage(context: Context, export_id: int, running: Process, line: BrokerLine | None) -> None:
    """Cuts the line to the broker and restores it. With folders it kills a process, which leaves a traceback."""
    wait_until(lambda: row_of(context, export_id)["status"] == "in progress", "the export has begun", 60)
    if line is not None:
        line.down()
        wait_until(lambda: running.said("Cannot connect to"), "the broker is missed", 60)
        line.up()
        return
    running.children()[0].kill()
    wait_until(lambda: running.deaths() > 0, "its death is noticed")


@pytest.mark.parametrize("broker", brokers.OTHERS_SLOWLY)
def test_every_line_is_one_event_whatever_happens(context: Context, tmp_path: Path, broker: str):
    contact_changed(context)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with brokers.behind(broker, context) as remote, broker_line(brokers.PORTS.get(broker)) as line:
        line.up()
        through = {} if broker == brokers.FOLDERS else {"BROKER_URL": brokers.URLS[broker].format(port=line.port)}
        with other_session(context, autocommit=False) as blocking, blocking.cursor() as cursor:
            cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
            first = request(remote, settings_for())
            running = start(remote, "worker", COMMAND, through | {"STOP_WAIT": "0.2"}, TMPDIR=str(temporary))
            try:
                breakage(context, first, running, None if broker == brokers.FOLDERS else line)
                blocking.rollback()
                wait_until_final(context, first)
                assert running.stop() == 0
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
    lines = require_lines(running)
    assert (os.geteuid() == 0) == any("this worker runs as root" in line for line in lines)
    assert not [line for line in lines if "SecurityWarning" in line or "DeprecationWarning" in line]
    assert broker != brokers.FOLDERS or any(
        "WorkerLostError" in line and "Traceback" in line and " | " in line for line in lines
    )
    assert any(line.endswith("worker: Warm shutdown (MainProcess)") for line in lines)
    assert list(temporary.iterdir()) == []
