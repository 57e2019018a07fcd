"""The same export with RabbitMQ and with Redis, if they answer on this machine."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from contactexport.context import Context
from contactexport.embedded import sample_contacts
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.exports import accept
from contactexport.exports import store as export_store
from contactexport.exports.models import ExportSettings, ExportStatus
from contactexport.queue.publisher import DELIVER, NOTIFY
from contactexport.users.models import Caller
from tests.support import brokers
from tests.support.served import SHORT_WAITS, wait_until


@pytest.fixture(params=brokers.URLS)
def remote(request, context: Context) -> Iterator[Context]:
    with brokers.behind(request.param, context) as made:
        yield made


@pytest.fixture
def worker(remote: Context) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"DATABASE_URL": remote.database.url, "BROKER_URL": remote.settings.broker_url}
    service = LocalService(remote.settings.data_dir, 0, SHORT_WAITS | settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "--quiet", "-A", "celery_worker", "worker", "--concurrency", "1"],
        cwd=PROJECT,
        env=service.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.terminate()
    process.wait(timeout=60)


def test_worker_of_the_broker_does_the_export(remote, worker, sample_settings):
    sample_contacts.generate(remote.contacts, 200)
    export_id = accept.request(remote, sample_settings, None, Caller("tester"))
    wait_until(lambda: _status(remote, export_id) is ExportStatus.DONE, "the export is done")
    assert list(remote.settings.storage_dir.glob(f"changes_{export_id}_*.csv"))


def test_message_waits_in_the_broker_for_a_worker_to_start(remote, sample_settings):
    accept.request(remote, sample_settings, None, Caller("tester"))
    _wait_until_queued(remote, "contactexport")
    assert _task_waiting_in(remote, "contactexport") == "contactexport.run_export"
    assert remote.queue.waiting("contactexport") == 0


def test_deliveries_sweeps_and_notifications_do_not_wait_behind_exports(remote):
    assert remote.queue.publish_sweep()
    _wait_until_queued(remote, "contactexport.sweeps")
    assert not remote.queue.publish_sweep(), "one waits already"
    assert _task_waiting_in(remote, "contactexport.sweeps") == "contactexport.sweep_exports"
    assert remote.queue.publish(NOTIFY, 1)
    assert _task_waiting_in(remote, "contactexport.short") == "contactexport.notify"
    assert remote.queue.publish(DELIVER)
    assert _task_waiting_in(remote, "contactexport.deliveries") == "contactexport.deliver_export"


@pytest.fixture
def sample_settings() -> ExportSettings:
    return ExportSettings.from_json(
        {
            "distribution_method": "local",
            "origin": "form",
            "origin_ids": [123],
            "start": "2012-01-01T00:00:00+00:00",
            "end": "2013-01-01T00:00:00+00:00",
            "contact_fields": [1, 3],
            "delimiter": ",",
            "header": True,
            "language": "en",
            "ftp": None,
        }
    )


def _wait_until_queued(context: Context, queue: str) -> None:
    """RabbitMQ may count a queue before it has put the last message into it."""
    wait_until(lambda: context.queue.waiting(queue) == 1, f"one message waits in {queue}")


def _task_waiting_in(context: Context, queue: str) -> str:
    with (
        context.queue.celery.connection_for_read() as connection,
        connection.SimpleQueue(context.queue.celery.amqp.queues[queue]) as waiting,
    ):
        message = waiting.get(timeout=10)
        message.ack()
    return message.headers["task"]


def _status(context: Context, export_id: int) -> ExportStatus:
    with context.database.transaction() as conn:
        return export_store.get(conn, export_id).status
