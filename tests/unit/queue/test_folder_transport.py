"""contactexport.queue.folder_transport: messages in folders, read by several processes."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu.asynchronous import Hub
from kombu.exceptions import OperationalError

from contactexport.queue.folder_transport import Transport
from tests.support.small_disks import no_larger_files

QUEUE = Queue("exports", routing_key="exports")


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    return {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
        "polling_interval": 0.01,
    }


@pytest.fixture
def broker(folders: dict[str, str]) -> Iterator[Connection]:
    with Connection("filesystem://", transport=Transport, transport_options=folders) as connection:
        yield connection


def send(connection: Connection, body: Any) -> None:
    connection.Producer().publish(body, routing_key="exports", declare=[QUEUE], serializer="json")


def received(connection: Connection) -> list[Any]:
    found = []
    bound = QUEUE(connection.default_channel)
    bound.declare()
    while message := bound.get():
        found.append(json.loads(message.body))
        message.ack()
    return found


def test_messages_arrive_once_and_in_order(broker: Connection):
    for number in range(5):
        send(broker, {"text": "ä\n", "number": number})
    assert sorted(message["number"] for message in received(broker)) == list(range(5))
    assert received(broker) == []


def test_message_being_written_is_not_taken(broker: Connection, folders: dict[str, str]):
    folder = Path(folders["data_folder_in"])
    send(broker, "complete")
    (path,) = folder.iterdir()
    path.rename(folder / f"{path.name}.part")
    assert received(broker) == []
    (folder / f"{path.name}.part").rename(path)
    assert received(broker) == ["complete"]


def test_message_is_taken_inside_its_folder(broker: Connection, folders: dict[str, str], monkeypatch):
    """A move to another file system would be a copy, and two readers may copy at once."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    send(broker, "complete")
    assert received(broker) == ["complete"]
    assert list(Path(folders["data_folder_in"]).iterdir()) == []


def test_message_that_does_not_fit_on_disk_leaves_nothing(broker: Connection, folders: dict[str, str]):
    with no_larger_files(os.getpid(), 10), pytest.raises((OSError, OperationalError)):
        send(broker, "lost")
    assert list(Path(folders["data_folder_in"]).iterdir()) == []


def test_concurrent_readers_get_each_message_once_and_whole(folders: dict[str, str]):
    found: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        with Connection("filesystem://", transport=Transport, transport_options=folders) as connection:
            while not stop.is_set():
                found.extend(received(connection))

    readers = [threading.Thread(target=read) for _ in range(3)]
    with Connection("filesystem://", transport=Transport, transport_options=folders) as connection:
        send(connection, [0, ""])
        for reader in readers:
            reader.start()
        for number in range(1, 100):
            send(connection, [number, "x" * 20_000])
        while list(Path(folders["data_folder_in"]).iterdir()):
            pass
        stop.set()
        for reader in readers:
            reader.join()
    assert sorted(number for number, _text in found) == list(range(100))


def test_event_loop_delivers_all_messages_in_folder(broker: Connection):
    for number in range(5):
        send(broker, number)
    loop, found = Hub(), []
    with broker.Consumer(QUEUE, callbacks=[lambda body, _message: found.append(body)], no_ack=True):
        broker.register_with_event_loop(loop)
        fire_until(loop, lambda: len(found) == 5)
        send(broker, 5)
        fire_until(loop, lambda: len(found) == 6)
    assert sorted(found) == list(range(6))
    loop.close()


def test_next_message_is_taken_at_once_after_acknowledgement(folders: dict[str, str]):
    """The next poll of the folder is in an hour."""
    slow = folders | {"polling_interval": 3600}
    loop, found = Hub(), []

    def done(body: Any, message: Any) -> None:
        found.append(body)
        loop.call_soon(message.ack)

    with Connection("filesystem://", transport=Transport, transport_options=slow) as broker:
        for number in range(5):
            send(broker, number)
        consumer = broker.Consumer(QUEUE, callbacks=[done])
        consumer.qos(prefetch_count=1)
        with consumer:
            broker.register_with_event_loop(loop)
            broker.transport.look_at_once()
            for _ in range(20):
                next(loop.loop)
    assert sorted(found) == list(range(5))
    loop.close()


def test_missing_folder_raises_in_event_loop(broker: Connection, folders: dict[str, str]):
    loop = Hub()
    with broker.Consumer(QUEUE, callbacks=[lambda *_: None]):
        broker.register_with_event_loop(loop)
        Path(folders["data_folder_in"]).rmdir()
        with pytest.raises(broker.connection_errors):
            fire_until(loop, lambda: False, propagate=broker.connection_errors)
    loop.close()


def fire_until(loop: Hub, condition: Callable[[], bool], **options: Any) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(loop.fire_timers(min_delay=0.01, **options) / 10)


def test_message_recreates_its_folder(broker: Connection, folders: dict[str, str]):
    send(broker, "first")
    assert received(broker) == ["first"]
    Path(folders["data_folder_out"]).rmdir()
    send(broker, "second")
    assert received(broker) == ["second"]


def test_message_that_cannot_be_written_raises(broker: Connection, folders: dict[str, str]):
    Path(folders["data_folder_out"]).rmdir()
    Path(folders["data_folder_out"]).touch()
    broker.transport_options["max_retries"] = 1  # not after pauses of seconds
    with pytest.raises((OSError, OperationalError)):
        send(broker, "lost")
