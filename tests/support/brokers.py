"""RabbitMQ and Redis, if they answer on this machine. One test at a time uses them, since all use the same queue."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import pools
from kombu.exceptions import OperationalError

from contactexport.context import Context
from contactexport.queue.publisher import QUEUES
from tests.support.exporting import context_with
from tests.support.served import wait_until

FOLDERS = "folders"
URLS = {"rabbitmq": "amqp://guest:guest@127.0.0.1:{port}//", "redis": "redis://127.0.0.1:{port}/5"}
PORTS = {"rabbitmq": 5672, "redis": 6379}
# For tests of what is the same with every broker.
OTHERS_SLOWLY = [FOLDERS, *(pytest.param(broker, marks=pytest.mark.slow) for broker in URLS)]


@contextmanager
def behind(broker: str, context: Context) -> Iterator[Context]:
    """The same context with that broker and an empty queue. Skips the test if the broker does not answer."""
    if broker == FOLDERS:
        yield context
        return
    port = PORTS[broker]
    with _alone(broker):
        if not _answers(port):
            pytest.skip(f"no {broker} answers on port {port}")
        made = context_with(context, broker_url=URLS[broker].format(port=port))
        try:
            # A worker that just ended may get a message until the broker notices, and return it later.
            wait_until(lambda: _consumers(made) == 0, f"{broker} has noticed that workers of other tests have ended")
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
    """Waits until no other test of this system user has the broker."""
    with (Path(tempfile.gettempdir()) / f"contactexport-{broker}-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _consumers(context: Context) -> int:
    with context.queue.celery.connection_for_read() as connection:
        channel = connection.default_channel
        if connection.transport.driver_type == "redis":
            clients = channel.client.client_list()
            return sum("b" in client["flags"] and client["db"] == "5" for client in clients)
        return sum(queue.bind(channel).queue_declare().consumer_count for queue in QUEUES.values())


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
