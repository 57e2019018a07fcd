"""Messages that the broker does not take back when a worker ends: kombu would write them into a file in /tmp."""

import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from kombu.connection import Connection
from kombu.transport.virtual import base as virtual_transport

from contactexport.backend import Backend
from contactexport.export_queue import EXPORTS_QUEUE, QUEUES, message_folders
from contactexport.folder_broker import Transport
from contactexport.worker import celery_log


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A worker has begun; the folder is its /tmp."""
    for place, name in ((virtual_transport, "emergency_dump_state"), (celery_log.celery_worker, "safe_say")):
        monkeypatch.setattr(place, name, getattr(place, name))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    celery_log._begin(SimpleNamespace())
    yield temporary
    logging.captureWarnings(False)


def test_they_are_dropped_with_one_line(backend: Backend, begun: Path, caplog: pytest.LogCaptureFixture):
    assert backend.queue.publish_export()
    messages, control = message_folders(backend.settings.data_dir)
    options = {"data_folder_in": str(messages), "data_folder_out": str(messages), "control_folder": str(control)}
    with Connection("filesystem://localhost", transport=Transport, transport_options=options) as connection:
        channel = connection.channel()
        taken = QUEUES[EXPORTS_QUEUE](channel).get()
        assert taken is not None
        messages.rename(messages.with_name("away"))
        messages.touch()
        channel.close()
    assert list(begun.iterdir()) == []
    assert "messages not given back to the broker: 1; the sweep publishes what is due" in caplog.text
