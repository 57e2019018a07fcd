"""Messages arrive twice or more often, and several workers sweep: every export is done once."""

import re
from collections import Counter
from pathlib import Path

import pytest

from contactexport.context import Context
from contactexport.exports import accept
from contactexport.exports.models import ExportSettings
from contactexport.exports.sweep import sweep
from contactexport.queue.publisher import DELIVER, RUN_EXPORT
from tests.support import brokers
from tests.support.exporting import (
    PASSWORD,
    by_ftp,
    contact_changed,
    execute,
    other_session,
    request,
    row_of,
    settings_for,
)
from tests.support.ftp_hosts import serving
from tests.support.invariants import require_all_done
from tests.support.notification_receiver import receiver
from tests.support.processes import Process, worker
from tests.support.served import wait_until

FIELDS = range(1, 5)  # one for each setting


@pytest.mark.parametrize("broker", brokers.OTHERS_SLOWLY)
def test_every_export_is_done_once_despite_repeated_messages_and_sweeps(context: Context, tmp_path: Path, broker: str):
    host = tmp_path / "host"
    contact_changed(context)
    with (
        brokers.behind(broker, context) as remote,
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
            assert remote.queue.publish(RUN_EXPORT)
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
    # Exports by FTP are claimed once to write the file, and once to deliver it.
    claims = dict.fromkeys(map(str, ids), 1) | dict.fromkeys(map(str, by_sweep), 2)
    assert Counter(re.findall(r'"event": "export claimed", "export": (\d+),', log)) == claims


def _delivered_again_while_it_runs(context: Context, workers: list[Process]) -> int:
    with other_session(context, autocommit=False) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        export_id = request(context, settings_for())
        wait_until(lambda: row_of(context, export_id)["status"] == "in progress", "it has begun")
        _is_delivered_again(context, workers)
    return export_id


def _is_delivered_again(context: Context, workers: list[Process]) -> None:
    before = _nothing_to_do(workers)
    assert context.queue.publish(RUN_EXPORT)
    assert context.queue.publish(DELIVER)
    wait_until(lambda: _nothing_to_do(workers) >= before + 2, "there is nothing to do")


def _nothing_to_do(workers: list[Process]) -> int:
    return sum(one.log.read_text().count("nothing to do: ") for one in workers)


def _without_message(context: Context, settings: ExportSettings) -> int:
    """Accepts an export without a message, as while the broker is down."""
    return accept.store(context, settings, PASSWORD, "tester")


def _swept_until_all_are_done(context: Context) -> None:
    """Sweeps in this process, beside the two workers."""

    def are_done() -> bool:
        sweep(context, most_running=100)
        return not execute(context, "SELECT id FROM export WHERE due_at IS NOT NULL")

    wait_until(are_done, "all exports are done")


def _untold(context: Context) -> int:
    return execute(context, "SELECT count(*) FROM export WHERE notify_due_at IS NOT NULL")[0]["count"]
