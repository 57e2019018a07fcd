"""The queue between accepting an export and running it. A message only wakes a worker. The rows say what is next.

A lost message costs time, never an export. The row in the database is the truth, and the sweep publishes what is
missing in the queue.
"""

import importlib.util
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import PERSISTENT_DELIVERY_MODE, Queue
from kombu.exceptions import KombuError
from kombu.messaging import Producer
from kombu.utils.uuid import uuid

from contactexport.errors import BrokerUnavailable, SettingsError
from contactexport.queue.folder_transport import Transport as FolderTransport
from contactexport.queue.folder_transport import make_folder
from contactexport.settings import Settings

RUN_EXPORT = "contactexport.run_export"
DELIVER = "contactexport.deliver_export"
SWEEP = "contactexport.sweep_exports"
NOTIFY = "contactexport.notify"
NOTIFY_OF_FEED = "contactexport.notify_of_feed"
PUBLISH_SECONDS = 0.8
# One retry at once, because an idle connection may have died.
RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
# An upload to a slow host may take an hour, and must not delay exports. Sweeps and notifications take a moment, and
# must not wait behind a hundred exports. A sweep must not wait behind a hundred notifications.
EXPORTS_QUEUE = "contactexport"
DELIVERIES_QUEUE = "contactexport.deliveries"
SHORT_QUEUE = "contactexport.short"
SWEEPS_QUEUE = "contactexport.sweeps"
QUEUE_OF_TASK = {
    RUN_EXPORT: EXPORTS_QUEUE,
    DELIVER: DELIVERIES_QUEUE,
    NOTIFY: SHORT_QUEUE,
    NOTIFY_OF_FEED: SHORT_QUEUE,
    SWEEP: SWEEPS_QUEUE,
}
SILENT_SECONDS = 5  # without an answer, after which a worker counts its connection to Redis as lost
# RabbitMQ (from 3.12) closes the connection of a worker that works on one message for longer. Its default of 30 minutes
# is shorter than the upload of a large file to a slow host.
LONGEST_RUN_SECONDS = 7 * 24 * 3600
QUEUES = {
    name: Queue(name, routing_key=name, queue_arguments={"x-consumer-timeout": LONGEST_RUN_SECONDS * 1000})
    for name in QUEUE_OF_TASK.values()
}

logger = logging.getLogger(__name__)
encode = json.JSONEncoder().encode  # the encoder of kombu takes twice as long, for types that we do not send


class ExportQueue:
    """Publishes by task name. Connects at first use, with short timeouts, because a request must not wait for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._uses_folders = _uses_folders(settings)
        self._idle: list[Producer] = []
        self._owner = 0

    @cached_property
    def celery(self) -> Celery:
        """The Celery application. Workers add the tasks to it."""
        return make_celery(self._settings)

    def publish(self, task: str, *arguments: int) -> bool:
        """Wakes a worker for RUN_EXPORT (the next export), DELIVER (the next delivery), NOTIFY (of an export),
        NOTIFY_OF_FEED (of its event) or SWEEP.

        Returns False if the broker does not take the message in time. Does what send_task of Celery does, in less time,
        because a request waits for it.
        """
        queue = QUEUES[QUEUE_OF_TASK[task]]
        shown = {"argsrepr": repr(list(arguments)), "kwargsrepr": "{}"}
        with self._producer() as producer:
            try:
                message = self.celery.amqp.as_task_v2(uuid(), task, list(arguments), ignore_result=True, **shown)
                # kombu would check by itself whether the queue is declared on this connection, and copy it for that.
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
                    retry=not self._uses_folders,  # with folders no connection can have died
                    retry_policy=RETRY_POLICY,
                    **message.properties,
                )
            except _failures(producer.connection) as error:
                logger.warning("message not published: task=%s reason=%s", task, type(error).__name__)
                producer.revive(producer.connection)  # next time on a new channel
                return False
        return True

    def publish_sweep(self) -> bool:
        """Asks any worker for one sweep, unless an earlier request still waits in the queue."""
        return self.waiting(SWEEPS_QUEUE) == 0 and self.publish(SWEEP)

    def waiting(self, queue: str) -> int | None:
        """Returns how many messages wait for a worker. None if the broker does not answer in time."""
        with self._producer() as producer:
            try:
                # RabbitMQ may answer before it has queued the last message. Then one message too many is published,
                # which finds nothing to do.
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
                if self._uses_folders:
                    for folder in message_folders(self._settings.data_dir):
                        make_folder(folder)
            except _failures(connection) as error:
                raise BrokerUnavailable(f"The message broker does not answer: {type(error).__name__}") from error

    def close(self) -> None:
        """Closes the connections of this process for publishing."""
        while self._owner == os.getpid() and self._idle:
            self._idle.pop().connection.release()

    @contextmanager
    def _producer(self) -> Iterator[Producer]:
        """Yields a producer that no other thread is using. Threads that publish at once need a connection each."""
        if self._owner != os.getpid():  # a connection must not be shared across a fork
            self._idle, self._owner = [], os.getpid()
        try:
            producer = self._idle.pop()
        except IndexError:
            producer = Producer(_publishing_connection(self._settings))
        try:
            yield producer
        finally:
            self._idle.append(producer)


def message_folders(data_dir: Path) -> tuple[Path, Path]:
    """Returns the folder of waiting messages, and the control folder of kombu."""
    return data_dir / "broker" / "messages", data_dir / "broker" / "control"


def make_celery(settings: Settings) -> Celery:
    """Returns a Celery application with the broker and our configuration, but without tasks.

    Raises SettingsError if the client library of the broker is missing.
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
    if not _broker_url(settings).startswith("redis"):
        return {}
    # With ack_emulation a worker that cannot acknowledge a message while Redis is down never takes another one.
    return {"ack_emulation": False} | dict.fromkeys(("socket_timeout", "socket_connect_timeout"), SILENT_SECONDS)


def _publishing_connection(settings: Settings) -> Connection:
    """Returns a connection that gives up an unreachable or silent broker within two seconds in all."""
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
