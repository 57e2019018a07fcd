"""The same export through RabbitMQ and through Redis, where they answer on this machine."""

import subprocess
import sys
from collections.abc import Iterator

import brokers
import pytest
from served import SHORT_WAITS, wait_until

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.embedded import sample_contacts
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.models import Caller, ExportSettings, ExportStatus
from contactexport.services import request_export


@pytest.fixture(params=brokers.URLS)
def remote(request, backend: Backend) -> Iterator[Backend]:
    with brokers.behind(request.param, backend) as made:
        yield made


@pytest.fixture
def worker(remote: Backend) -> Iterator[subprocess.Popen[bytes]]:
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


def test_export_is_done_by_a_worker_behind_the_broker(remote, worker, sample_settings):
    sample_contacts.generate(remote.contacts, 200)
    export_id = request_export.request(remote, sample_settings, None, Caller("tester"))
    wait_until(lambda: _status(remote, export_id) is ExportStatus.DONE, "the export is done")
    assert list(remote.settings.storage_dir.glob(f"changes_{export_id}_*.csv"))


def test_message_waits_in_the_broker_for_a_worker(remote, sample_settings):
    request_export.request(remote, sample_settings, None, Caller("tester"))
    assert remote.queue.waiting("contactexport") == 1
    assert _task_waiting_in(remote, "contactexport") == "contactexport.run_export"
    assert remote.queue.waiting("contactexport") == 0


def test_deliveries_sweeps_and_notifications_do_not_wait_behind_exports(remote):
    assert remote.queue.publish_sweep()
    assert not remote.queue.publish_sweep(), "one waits already"
    assert _task_waiting_in(remote, "contactexport.sweeps") == "contactexport.sweep_exports"
    assert remote.queue.publish_notification(1)
    assert _task_waiting_in(remote, "contactexport.short") == "contactexport.notify"
    assert remote.queue.publish_delivery()
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


def _task_waiting_in(backend: Backend, queue: str) -> str:
    with (
        backend.queue.celery.connection_for_read() as connection,
        connection.SimpleQueue(backend.queue.celery.amqp.queues[queue]) as waiting,
    ):
        message = waiting.get(timeout=10)
        message.ack()
    return message.headers["task"]


def _status(backend: Backend, export_id: int) -> ExportStatus:
    with backend.database.transaction() as conn:
        return export_repository.get(conn, export_id).status
