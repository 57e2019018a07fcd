"""What a worker writes: one line an event in our format, whatever happens to it, and it leaves no file in /tmp."""

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import brokers
import pytest
from broker_line import BrokerLine, broker_line
from exporting import contact_changed, other_session, request, row_of, settings_for
from invariants import wait_until_final
from processes import Process, start
from served import wait_until

from contactexport.backend import Backend

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: \S")
# As somebody starts it who has read nothing.
COMMAND = ["celery", "--app", "celery_worker", "worker", "--concurrency", "1", "--loglevel", "INFO"]


def require_lines(running: Process) -> list[str]:
    lines = running.log.read_text().splitlines()
    assert [line for line in lines if not LINE.match(line)] == []
    return lines


def breakage(backend: Backend, export_id: int, running: Process, line: BrokerLine | None) -> None:
    """A broker that is lost and comes back; without one a killed process, which leaves a traceback."""
    wait_until(lambda: row_of(backend, export_id)["status"] == "in progress", "the export has begun", 60)
    if line is not None:
        line.down()
        wait_until(lambda: running.said("Cannot connect to"), "the broker is missed", 60)
        line.up()
        return
    running.children()[0].kill()
    wait_until(lambda: running.deaths() > 0, "its death is noticed")


@pytest.mark.parametrize("broker", [brokers.FOLDERS, *brokers.URLS])
def test_every_line_is_an_event_whatever_happens(backend: Backend, tmp_path: Path, broker: str):
    contact_changed(backend)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with brokers.behind(broker, backend) as remote, broker_line(brokers.PORTS.get(broker)) as line:
        line.up()
        through = {} if broker == brokers.FOLDERS else {"BROKER_URL": brokers.URLS[broker].format(port=line.port)}
        with other_session(backend, autocommit=False) as blocking, blocking.cursor() as cursor:
            cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
            first = request(remote, settings_for())
            running = start(remote, "worker", COMMAND, through | {"STOP_WAIT": "0.2"}, TMPDIR=str(temporary))
            try:
                breakage(backend, first, running, None if broker == brokers.FOLDERS else line)
                blocking.rollback()
                wait_until_final(backend, first)
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
