"""FTP hosts break off, keep silent or are down for hours: it is tried again until one complete file is there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ftp_hosts
import pytest
from clock import let_pass
from exporting import by_ftp, execute, request, row_of, seconds_until_due
from ftp_hosts import free_port, large_export, many_changed, serving
from invariants import require_all_done, require_nothing_lost, wait_until_final
from processes import Process, worker
from served import wait_until

from contactexport.backend import Backend

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
    """One host a port, with its folder and its fault; yields what each of them has been told."""
    with ExitStack() as running:
        yield [
            running.enter_context(serving(inbox / str(port), port=port, **fault))[1]
            for port, fault in zip(ports, faults, strict=True)
        ]


def test_a_file_that_got_stuck_halfway_is_sent_again_and_one_that_was_not_confirmed_is_not(
    backend: Backend, inbox: Path
):
    many_changed(backend)
    faults = [*BREAKS_OFF, *HAS_IT_ALL]
    ports = [free_port() for _ in faults]
    with worker(backend, concurrency=4, FTP_TIMEOUT="1") as running:
        with hosts(inbox, ports, faults) as told:
            ids = [request(backend, by_ftp(port)) for port in ports]
            wait_until(lambda: not being_tried(backend), "each host has been tried")
            assert [commands.count("STOR") for commands in told][len(BREAKS_OFF) :] == [1] * len(HAS_IT_ALL)
            rows = require_nothing_lost(backend, ids, delivered_to=inbox)
            assert [row["status"] for row in rows] == ["ready"] * len(BREAKS_OFF) + ["done"] * len(HAS_IT_ALL)
        with hosts(inbox, ports, [{}] * len(ports)):
            let_pass(backend, 60)
            attempts = [wait_until_final(backend, export_id)["attempt"] for export_id in ids]
        assert attempts == [2] * len(BREAKS_OFF) + [1] * len(HAS_IT_ALL)
        require_all_done(backend, ids, delivered_to=inbox, logs=[running.log])


def being_tried(backend: Backend) -> list[dict[str, Any]]:
    """The exports that no host has taken or refused so far."""
    return execute(backend, "SELECT id FROM export WHERE status <> 'done' AND deliveries = '[]'")


def test_a_host_that_is_down_for_hours_gets_its_file_whoever_is_restarted_meanwhile(backend: Backend, inbox: Path):
    export_id = large_export(backend, port := free_port())
    for minutes, end in ((1, Process.kill), (5, Process.stop), (15, Process.kill), (60, Process.stop)):
        with worker(backend) as running:
            wait_until(lambda: seconds_until_due(backend, export_id) > 0, "the host was tried")
            assert round(seconds_until_due(backend, export_id) / 60) == minutes
            end(running)
        require_nothing_lost(backend, [export_id], delivered_to=inbox, logs=[running.log])
        let_pass(backend, minutes * 60)
    let_pass(backend, 30 * HOURS)  # no worker is there, and the time in which a delivery is tried again runs out
    with serving(inbox, port=port), worker(backend) as running:
        done = wait_until_final(backend, export_id)
        assert (done["attempt"], done["run_attempts"]) == (5, 1)
        require_all_done(backend, [export_id], delivered_to=inbox, logs=[running.log])


def test_a_host_that_stays_down_ends_the_export_with_a_reason(backend: Backend, inbox: Path):
    export_id = large_export(backend, free_port())
    with worker(backend) as running:
        wait_until(lambda: row_of(backend, export_id)["deliveries"] != [], "the host was tried")
        let_pass(backend, 24 * HOURS)
        ended = wait_until_final(backend, export_id)
        assert (ended["status"], ended["error"]) == ("error", "FTP host: Connection refused")
        require_nothing_lost(backend, [export_id], delivered_to=inbox, logs=[running.log])
