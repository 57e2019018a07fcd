"""The queue between accepting an export and running it. A message holds an export id and nothing else.

A lost message costs time, never an export: the row in the database is the truth, and the sweep publishes again what
is due.
"""

import logging
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError

from contactexport.errors import BrokerUnavailable
from contactexport.folder_broker import Transport as FolderTransport
from contactexport.settings import Settings

RUN_EXPORT = "contactexport.run_export"
SWEEP = "contactexport.sweep_exports"
NOTIFY = "contactexport.notify"
PUBLISH_SECONDS = 1.0

logger = logging.getLogger(__name__)


class ExportQueue:
    """Publishes by task name; connects at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._celery: Celery | None = None

    @property
    def celery(self) -> Celery:
        """The Celery application that workers extend with the tasks."""
        if self._celery is None:
            self._celery = make_celery(self._settings)
        return self._celery

    def publish(self, export_id: int) -> bool:
        """Wakes a worker for an export; returns False when the broker does not take the message in time."""
        return self._send(RUN_EXPORT, [export_id])

    def publish_notification(self, export_id: int) -> bool:
        """Asks any worker to send a notification; the message is void once the next sweep publishes it again."""
        return self._send(NOTIFY, [export_id], expires=self._settings.sweep_interval)

    def publish_sweep(self) -> bool:
        """Asks any worker for one sweep; the message is void once the next one is due."""
        return self._send(SWEEP, [], expires=self._settings.sweep_interval)

    def ping(self) -> None:
        """Raises BrokerUnavailable unless the broker answers."""
        try:
            with self.celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0, timeout=PUBLISH_SECONDS)
                if self._settings.broker_url is None:
                    self._require_folders()
        except (KombuError, OSError, *connection.connection_errors) as error:
            raise BrokerUnavailable(f"The message broker does not answer: {type(error).__name__}") from error

    def _send(self, task: str, arguments: list[int], **options: Any) -> bool:
        try:
            if self._settings.broker_url is None:
                self._require_folders()
            self.celery.send_task(task, arguments, retry=False, ignore_result=True, **options)
        except (KombuError, OSError) as error:
            logger.warning("message not published: task=%s reason=%s", task, type(error).__name__)
            return False
        return True

    def _require_folders(self) -> None:
        for folder in message_folders(self._settings.data_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def message_folders(data_dir: Path) -> tuple[Path, Path]:
    """The folder of waiting messages and that of the broker's bookkeeping."""
    return data_dir / "broker" / "messages", data_dir / "broker" / "control"


def make_celery(settings: Settings) -> Celery:
    """A Celery application that knows the broker and our rules, but no task."""
    celery = Celery("contactexport", broker=settings.broker_url or "filesystem://localhost", set_as_current=False)
    celery.conf.update(
        task_default_queue="contactexport",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_store_eager_result=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_timer_precision=0.2,  # a stopping worker waits that long for the clock of the sweep
        worker_send_task_events=False,
        broker_connection_timeout=PUBLISH_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        **_transport(settings),
    )
    return celery


def _transport(settings: Settings) -> dict[str, Any]:
    if settings.broker_url is not None and not settings.broker_url.startswith("filesystem"):
        return {"broker_transport_options": _timeouts(settings.broker_url)}
    messages, control = (str(folder) for folder in message_folders(settings.data_dir))
    return {
        "broker_transport": FolderTransport,
        "broker_transport_options": {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": control,
            "polling_interval": settings.broker_polling_interval,
        },
    }


def _timeouts(broker_url: str) -> dict[str, Any]:
    """A broker that accepts connections and stays silent must not hold a request."""
    if broker_url.startswith("redis"):
        return {
            "socket_connect_timeout": PUBLISH_SECONDS,
            "socket_timeout": PUBLISH_SECONDS,
            "visibility_timeout": 12 * 3600,
        }
    return {
        "read_timeout": PUBLISH_SECONDS,
        "write_timeout": PUBLISH_SECONDS,
        "connect_timeout": PUBLISH_SECONDS,
    }
