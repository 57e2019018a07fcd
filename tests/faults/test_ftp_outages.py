"""FTP hosts end connections, are silent or down for hours: the delivery is retried until one complete file is there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contactexport.context import Context
from tests.support import ftp_hosts
from tests.support.clock import let_pass
from tests.support.exporting import by_ftp, execute, request, row_of, seconds_until_due
from tests.support.ftp_hosts import free_port, large_export, many_changed, serving
from tests.support.invariants import require_all_done, require_nothing_lost, wait_until_final
from tests.support.processes import Process, worker
from tests.support.served import wait_until

BREAKS_OFF = [
    {"dtp_handler": ftp_hosts.TakesOnlySomeBytes},
    {"dtp_handler": ftp_hosts.DropsTheControl},
    {"dtp_handler": ftp_hosts.LosesTheEnd},
    {"handler": ftp_hosts.Swallows226, "dtp_handler": ftp_hosts.LosesTheEnd},
]
HAS_IT_ALL = [
    {"handler": ftp_hosts.Swallows226},
    {"handler": ftp_hosts.HangsUpInsteadOf226},
    {"handler": ftp_hosts.HangsUpAfterRenaming},
]
HOURS = 3600


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


@contextmanager
def hosts(inbox: Path, ports: list[int], faults: list[dict[str, Any]]) -> Iterator[list[list[str]]]:
    """One host for each port, with its folder and its fault. Yields the commands that each has received."""
    with ExitStack() as running:
        yield [
            running.enter_context(serving(inbox / str(port), port=port, **fault))[1]
            for port, fault in zip(ports, faults, strict=True)
        ]


def test_only_incomplete_file_is_sent_again_not_unconfirmed_one(context: Context, inbox: Path):
    many_changed(context)
    faults = [*BREAKS_OFF, *HAS_IT_ALL]
    ports = [free_port() for _ in faults]
    with worker(context, concurrency=4, FTP_TIMEOUT="1") as running:
        with hosts(inbox, ports, faults) as told:
            ids = [request(context, by_ftp(port)) for port in ports]
            wait_until(lambda: not being_tried(context), "each host has been tried")
            assert [commands.count("STOR") for commands in told][len(BREAKS_OFF) :] == [1] * len(HAS_IT_ALL)
            rows = require_nothing_lost(context, ids, delivered_to=inbox)
            assert [row["status"] for row in rows] == ["ready"] * len(BREAKS_OFF) + ["done"] * len(HAS_IT_ALL)
        with hosts(inbox, ports, [{}] * len(ports)):
            let_pass(context, 60)
            attempts = [wait_until_final(context, export_id)["attempt"] for export_id in ids]
        assert attempts == [2] * len(BREAKS_OFF) + [1] * len(HAS_IT_ALL)
        require_all_done(context, ids, delivered_to=inbox, logs=[running.log])


def being_tried(context: Context) -> list[dict[str, Any]]:
    """The exports whose hosts have not yet accepted or refused the file."""
    return execute(context, "SELECT id FROM export WHERE status <> 'done' AND deliveries = '[]'")


def test_host_that_is_down_for_hours_gets_its_file_although_workers_restart(context: Context, inbox: Path):
    export_id = large_export(context, port := free_port())
    for minutes, end in ((1, Process.kill), (5, Process.stop), (15, Process.kill), (60, Process.stop)):
        with worker(context) as running:
            wait_until(lambda: seconds_until_due(context, export_id) > 0, "the host was tried")
            assert round(seconds_until_due(context, export_id) / 60) == minutes
            end(running)
        require_nothing_lost(context, [export_id], delivered_to=inbox, logs=[running.log])
        let_pass(context, minutes * 60)
    let_pass(context, 30 * HOURS)  # no worker runs, and the time limit of the delivery passes
    with serving(inbox, port=port), worker(context) as running:
        done = wait_until_final(context, export_id)
        assert (done["attempt"], done["run_attempts"]) == (5, 1)
        require_all_done(context, [export_id], delivered_to=inbox, logs=[running.log])


def test_host_that_stays_down_ends_export_with_a_reason(context: Context, inbox: Path):
    export_id = large_export(context, free_port())
    with worker(context) as running:
        wait_until(lambda: row_of(context, export_id)["deliveries"] != [], "the host was tried")
        let_pass(context, 24 * HOURS)
        ended = wait_until_final(context, export_id)
        assert (ended["status"], ended["error"]) == ("error", "FTP host: Connection refused")
        require_nothing_lost(context, [export_id], delivered_to=inbox, logs=[running.log])
