"""The same message delivered twice and more, and several schedules that sweep: every export is done once."""

import re
from collections import Counter
from pathlib import Path

import brokers
import pytest
from exporting import PASSWORD, by_ftp, contact_changed, execute, other_session, request, row_of, settings_for
from ftp_hosts import serving
from invariants import require_all_done
from notification_receiver import receiver
from processes import Process, worker
from served import wait_until

from contactexport.backend import Backend
from contactexport.models import ExportSettings
from contactexport.services import request_export
from contactexport.services.sweep_exports import sweep

FIELDS = range(1, 5)  # one for each setting


@pytest.mark.parametrize("broker", [brokers.FOLDERS, *brokers.URLS])
def test_every_export_is_done_once(backend: Backend, tmp_path: Path, broker: str):
    host = tmp_path / "host"
    contact_changed(backend)
    with (
        brokers.behind(broker, backend) as remote,
        serving(host) as (port, told),
        receiver() as there,
        worker(remote, concurrency=2, SWEEP_INTERVAL="0.2") as one,
        worker(remote, concurrency=2, SWEEP_INTERVAL="0.2") as other,
    ):
        workers = [one, other]
        first = _delivered_again_while_it_runs(remote, workers)
        by_message = [
            request(remote, settings_for(contact_fields=(field,), notification_url=there.url())) for field in FIELDS
        ]
        for _ in by_message * 2:
            assert remote.queue.publish_export()
        by_sweep = [_without_message(remote, by_ftp(port, folder=f"folder{field}")) for field in FIELDS]
        _swept_until_all_are_done(remote)
        ids = [first, *by_message, *by_sweep]
        for _ in ids:
            _is_delivered_again(remote, workers)
        wait_until(lambda: _untold(remote) == 0, "all notifications are sent")
        rows = require_all_done(remote, ids, delivered_to=host, logs=[one.log, other.log])
    assert {row["attempt"] for row in rows} == {1}
    assert told.count("STOR") == len(by_sweep)
    assert len(there.received) == len(by_message)
    log = one.log.read_text() + other.log.read_text()
    # Those by FTP once to write the file, and once to deliver it.
    claims = dict.fromkeys(map(str, ids), 1) | dict.fromkeys(map(str, by_sweep), 2)
    assert Counter(re.findall(r'"event": "export claimed", "export": (\d+),', log)) == claims


def _delivered_again_while_it_runs(backend: Backend, workers: list[Process]) -> int:
    with other_session(backend, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        export_id = request(backend, settings_for())
        wait_until(lambda: row_of(backend, export_id)["status"] == "in progress", "it has begun")
        _is_delivered_again(backend, workers)
    return export_id


def _is_delivered_again(backend: Backend, workers: list[Process]) -> None:
    before = _nothing_to_do(workers)
    assert backend.queue.publish_export()
    assert backend.queue.publish_delivery()
    wait_until(lambda: _nothing_to_do(workers) >= before + 2, "there is nothing to do")


def _nothing_to_do(workers: list[Process]) -> int:
    return sum(one.log.read_text().count("nothing to do: ") for one in workers)


def _without_message(backend: Backend, settings: ExportSettings) -> int:
    """Accepted while the broker was down."""
    return request_export.store(backend, settings, PASSWORD, "tester")


def _swept_until_all_are_done(backend: Backend) -> None:
    """By a third schedule, beside those of the two workers."""

    def are_done() -> bool:
        sweep(backend, most_running=100)
        return not execute(backend, "SELECT id FROM export WHERE due_at IS NOT NULL")

    wait_until(are_done, "all exports are done")


def _untold(backend: Backend) -> int:
    return execute(backend, "SELECT count(*) FROM export WHERE notify_due_at IS NOT NULL")[0]["count"]
