"""The queue between accepting an export and running it. A message only wakes a worker: the rows say what is next.

A lost message costs time, never an export: the row in the database is the truth, and the sweep publishes what the
queue lacks.
"""

import importlib.util
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import PERSISTENT_DELIVERY_MODE, Queue
from kombu.exceptions import KombuError
from kombu.messaging import Producer
from kombu.utils.uuid import uuid

from contactexport.errors import BrokerUnavailable, SettingsError
from contactexport.folder_broker import Transport as FolderTransport
from contactexport.folder_broker import make_folder
from contactexport.settings import Settings

RUN_EXPORT = "contactexport.run_export"
DELIVER = "contactexport.deliver_export"
SWEEP = "contactexport.sweep_exports"
NOTIFY = "contactexport.notify"
PUBLISH_SECONDS = 0.8
# One more try at once: a connection that lay in the pool may have died there.
RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
# An upload to a slow host may take an hour, and must not hold up exports. Sweeps and notifications take a moment, and
# must not wait behind a hundred exports; nor a sweep behind a hundred notifications.
EXPORTS_QUEUE = "contactexport"
DELIVERIES_QUEUE = "contactexport.deliveries"
SHORT_QUEUE = "contactexport.short"
SWEEPS_QUEUE = "contactexport.sweeps"
QUEUE_OF_TASK = {
    RUN_EXPORT: EXPORTS_QUEUE,
    DELIVER: DELIVERIES_QUEUE,
    NOTIFY: SHORT_QUEUE,
    SWEEP: SWEEPS_QUEUE,
}
SILENT_SECONDS = 5  # without an answer, then a worker takes its connection to Redis for lost
# RabbitMQ (from 3.12) breaks off the connection of a worker that works on a message for longer; its own limit of 30
# minutes is shorter than the upload of a large file to a slow host.
LONGEST_RUN_SECONDS = 7 * 24 * 3600
QUEUES = {
    name: Queue(name, routing_key=name, queue_arguments={"x-consumer-timeout": LONGEST_RUN_SECONDS * 1000})
    for name in QUEUE_OF_TASK.values()
}

logger = logging.getLogger(__name__)
encode = json.JSONEncoder().encode  # kombu's own is for types that no message of ours has, and takes twice as long


class ExportQueue:
    """Publishes by task name; connects at first use, with timeouts of its own: a request must not wait for a broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._celery: Celery | None = None
        self._idle: list[Producer] = []
        self._owner = 0

    @property
    def celery(self) -> Celery:
        """The Celery application that workers extend with the tasks."""
        if self._celery is None:
            self._celery = make_celery(self._settings)
        return self._celery

    def publish_export(self) -> bool:
        """Wakes a worker for the next export; returns False when the broker does not take the message in time."""
        return self._send(RUN_EXPORT, [])

    def publish_delivery(self) -> bool:
        """Wakes a worker for the next delivery, likewise."""
        return self._send(DELIVER, [])

    def publish_notification(self, export_id: int) -> bool:
        """Asks any worker to send a notification."""
        return self._send(NOTIFY, [export_id])

    def publish_sweep(self) -> bool:
        """Asks any worker for one sweep, unless the last one that was asked for has not begun yet."""
        return self.waiting(SWEEPS_QUEUE) == 0 and self._send(SWEEP, [])

    def waiting(self, queue: str) -> int | None:
        """How many messages no worker has taken yet; None when the broker does not tell in time."""
        with self._producer() as producer:
            try:
                # On the channel that publishes: RabbitMQ then counts what was published before.
                return int(QUEUES[queue].bind(producer.channel).queue_declare().message_count)
            except _failures(producer.connection) as error:
                logger.warning("messages not counted: queue=%s reason=%s", queue, type(error).__name__)
                producer.revive(producer.connection)  # next time on a new channel
                return None

    def ping(self) -> None:
        """Raises BrokerUnavailable unless the broker answers."""
        with _publishing_connection(self._settings) as connection:
            try:
                connection.ensure_connection(**RETRY_POLICY, timeout=PUBLISH_SECONDS)
                self._require_folders()
            except _failures(connection) as error:
                raise BrokerUnavailable(f"The message broker does not answer: {type(error).__name__}") from error

    def close(self) -> None:
        """Closes the connections that this process publishes on."""
        idle = self._idle_producers()
        while idle:
            idle.pop().connection.release()

    def _send(self, task: str, arguments: list[int]) -> bool:
        with self._producer() as producer:
            try:
                # There is no connection to folders that could have died.
                _publish(producer, self.celery, task, arguments, retry=not _uses_folders(self._settings))
            except _failures(producer.connection) as error:
                logger.warning("message not published: task=%s reason=%s", task, type(error).__name__)
                producer.revive(producer.connection)  # next time on a new channel
                return False
        return True

    @contextmanager
    def _producer(self) -> Iterator[Producer]:
        """One that no other thread uses now. So there are as many connections as threads have published at once."""
        try:
            producer = self._idle_producers().pop()
        except IndexError:
            producer = Producer(_publishing_connection(self._settings))
        try:
            yield producer
        finally:
            self._idle_producers().append(producer)

    def _idle_producers(self) -> list[Producer]:
        """Those of this process: a connection is not shared across a fork."""
        if self._owner != os.getpid():
            self._idle, self._owner = [], os.getpid()
        return self._idle

    def _require_folders(self) -> None:
        if not _uses_folders(self._settings):
            return
        for folder in message_folders(self._settings.data_dir):
            make_folder(folder)


def message_folders(data_dir: Path) -> tuple[Path, Path]:
    """The folder of waiting messages and that of the broker's bookkeeping."""
    return data_dir / "broker" / "messages", data_dir / "broker" / "control"


def make_celery(settings: Settings) -> Celery:
    """A Celery application that knows the broker and our rules, but no task.

    Raises SettingsError when the broker's client library is missing.
    """
    if (settings.broker_url or "").startswith("redis") and importlib.util.find_spec("redis") is None:
        raise SettingsError("CONTACTEXPORT_BROKER_URL names Redis: `pip install contactexport[redis]` for its client")
    celery = Celery("contactexport", broker=_broker_url(settings), set_as_current=False)
    celery.conf.update(
        task_default_queue=EXPORTS_QUEUE,
        task_queues=list(QUEUES.values()),
        task_routes={task: {"queue": queue} for task, queue in QUEUE_OF_TASK.items()},
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_store_eager_result=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport=FolderTransport if _uses_folders(settings) else None,
        broker_transport_options=_transport_options(settings),
    )
    return celery


def _publish(producer: Producer, celery: Celery, task: str, arguments: list[int], *, retry: bool) -> None:
    """What Celery's send_task does, in less time: a request waits for it."""
    shown = {"argsrepr": repr(arguments), "kwargsrepr": "{}"}
    message = celery.amqp.as_task_v2(uuid(), task, arguments, ignore_result=True, **shown)
    queue = QUEUES[QUEUE_OF_TASK[task]]
    # kombu would find out by itself that the queue is declared on this connection, and copy it for that.
    declared = hash(queue) in producer.connection.declared_entities
    producer.publish(
        encode(message.body),
        exchange="",
        routing_key=queue.name,
        content_type="application/json",
        content_encoding="utf-8",
        headers=message.headers,
        declare=[] if declared else [queue],
        delivery_mode=PERSISTENT_DELIVERY_MODE,
        retry=retry,
        retry_policy=RETRY_POLICY,
        **message.properties,
    )


def _uses_folders(settings: Settings) -> bool:
    return settings.broker_url is None or settings.broker_url.startswith("filesystem")


def _broker_url(settings: Settings) -> str:
    return "filesystem://localhost" if _uses_folders(settings) else str(settings.broker_url)


def _transport_options(settings: Settings) -> dict[str, Any]:
    if _uses_folders(settings):
        messages, control = (str(folder) for folder in message_folders(settings.data_dir))
        return {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": control,
            "polling_interval": settings.broker_polling_interval,
        }
    return _redis_options() if _broker_url(settings).startswith("redis") else {}


def _redis_options() -> dict[str, Any]:
    """kombu imitates for Redis that a message is confirmed, which we do not need.

    A worker that could not confirm one, since Redis was down just then, kept its place and never took another message.
    """
    return {"ack_emulation": False} | dict.fromkeys(("socket_timeout", "socket_connect_timeout"), SILENT_SECONDS)


def _publishing_connection(settings: Settings) -> Connection:
    """A broker that is down, or accepts connections and stays silent, is given up within two seconds in all."""
    timeouts = dict.fromkeys(("read_timeout", "write_timeout", "connect_timeout"), PUBLISH_SECONDS)
    if _broker_url(settings).startswith("redis"):
        timeouts = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), PUBLISH_SECONDS)
    options = _transport_options(settings) | RETRY_POLICY | ({} if _uses_folders(settings) else timeouts)
    return Connection(
        _broker_url(settings),
        transport=FolderTransport if _uses_folders(settings) else None,
        connect_timeout=PUBLISH_SECONDS,
        transport_options=options,
    )


def _failures(connection: Connection) -> tuple[type[Exception], ...]:
    return (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)
