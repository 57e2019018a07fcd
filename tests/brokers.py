"""RabbitMQ and Redis where they answer on this machine, for one test at a time: all of them use the same queue."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from exporting import backend_with
from kombu import pools
from kombu.exceptions import OperationalError

from contactexport.backend import Backend

FOLDERS = "folders"
URLS = {"rabbitmq": "amqp://guest:guest@127.0.0.1:{port}//", "redis": "redis://127.0.0.1:{port}/5"}
PORTS = {"rabbitmq": 5672, "redis": 6379}


@contextmanager
def behind(broker: str, backend: Backend) -> Iterator[Backend]:
    """The same backend with that broker, its queue empty; skips the test where none answers."""
    if broker == FOLDERS:
        yield backend
        return
    port = PORTS[broker]
    with _alone(broker):
        if not _answers(port):
            pytest.skip(f"no {broker} answers on port {port}")
        made = backend_with(backend, broker_url=URLS[broker].format(port=port))
        try:
            made.queue.celery.control.purge()
        except OperationalError:
            pytest.skip("the broker does not take part")
        try:
            yield made
        finally:
            made.queue.celery.control.purge()
            made.queue.close()
            pools.reset()
            made.database.close()


@contextmanager
def _alone(broker: str) -> Iterator[None]:
    """Waits until no other test of this user has the broker."""
    with (Path(tempfile.gettempdir()) / f"contactexport-{broker}-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
