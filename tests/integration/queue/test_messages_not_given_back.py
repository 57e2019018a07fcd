"""A worker ends and the broker does not take its messages back. kombu would write them to a file in /tmp."""

import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from kombu.connection import Connection
from kombu.transport.virtual import base as virtual_transport

from contactexport.context import Context
from contactexport.queue.folder_transport import Transport
from contactexport.queue.publisher import EXPORTS_QUEUE, QUEUES, RUN_EXPORT, message_folders
from contactexport.worker import log


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Returns the /tmp of a worker that has started."""
    for place, name in ((virtual_transport, "emergency_dump_state"), (log.celery_worker, "safe_say")):
        monkeypatch.setattr(place, name, getattr(place, name))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    log._begin(SimpleNamespace())
    yield temporary
    logging.captureWarnings(False)


def test_messages_not_returned_are_dropped_with_one_line(
    context: Context, begun: Path, caplog: pytest.LogCaptureFixture
):
    assert context.queue.publish(RUN_EXPORT)
    messages, control = message_folders(context.settings.data_dir)
    options = {"data_folder_in": str(messages), "data_folder_out": str(messages), "control_folder": str(control)}
    with Connection("filesystem://localhost", transport=Transport, transport_options=options) as connection:
        channel = connection.channel()
        taken = QUEUES[EXPORTS_QUEUE](channel).get()
        assert taken is not None
        messages.rename(messages.with_name("away"))
        messages.touch()
        channel.close()
    assert list(begun.iterdir()) == []
    assert "messages not returned to the broker: 1, the sweep publishes what is due" in caplog.text
