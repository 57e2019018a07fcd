"""Gives the output of Celery and kombu the format of our log, and drops their noise."""

import logging
import os
import warnings
from typing import Any

from celery.apps import worker as celery_worker
from celery.exceptions import SecurityWarning
from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_init
from celery.utils.log import get_multiprocessing_logger
from kombu.transport.virtual import base as virtual_transport

from contactexport import audit

STANDARD_ERROR = 2

logger = logging.getLogger(__name__)


def configure(log_format: str) -> None:
    """Configures the log of a worker that this process starts afterwards: `text` or `json`."""
    formatter = audit.formatter(log_format)

    def use_our_format(logger: logging.Logger, **_kwargs: Any) -> None:
        for one in (logger, get_multiprocessing_logger()):
            for handler in one.handlers:
                handler.setFormatter(formatter)

    def say(text: str, *_stream: Any, **_kwargs: Any) -> None:
        """Writes what Celery does about a signal. Not by the log: the signal may have interrupted a line of it."""
        record = logging.LogRecord(logger.name, logging.WARNING, __file__, 0, text, None, None)
        os.write(STANDARD_ERROR, f"{formatter.format(record)}\n".encode())

    celeryd_init.connect(_begin, weak=False)
    after_setup_logger.connect(use_our_format, weak=False)
    after_setup_task_logger.connect(use_our_format, weak=False)
    celery_worker.safe_say = say


def _begin(instance: Any, **_kwargs: Any) -> None:
    instance.quiet = True  # no banner
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # a page long: one line below replaces it
    # At each loss of the broker Celery announces that a default will change. It resets the filters of warnings, so
    # this one is a filter of the log.
    logging.getLogger("py.warnings").addFilter(lambda record: "CPendingDeprecationWarning" not in record.getMessage())
    if os.geteuid() == 0:
        logger.warning("this worker runs as root: give it its own system user")
    virtual_transport.emergency_dump_state = _drop  # type: ignore[attr-defined, assignment] # it takes more arguments, which are never given


def _drop(messages: Any, **_kwargs: Any) -> None:
    """Drops messages that the broker does not take back. kombu would write them to a file in /tmp that nobody reads.

    A message only wakes a worker. The next sweep publishes again what is due.
    """
    logger.warning("messages not returned to the broker: %d, the sweep publishes what is due", len(messages))
