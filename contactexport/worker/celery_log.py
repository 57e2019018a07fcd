"""What Celery and kombu write beside our own log: the same format, and nothing that only fills the screen."""

import logging
import os
import warnings
from typing import Any

from celery.apps import worker as celery_worker
from celery.exceptions import SecurityWarning
from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_init
from celery.utils.log import get_multiprocessing_logger
from kombu.transport.virtual import base as virtual_transport

from contactexport.log_lines import OneLine

STANDARD_ERROR = 2

logger = logging.getLogger(__name__)


def configure() -> None:
    """For a worker that is started in this process from now on."""
    celeryd_init.connect(_begin, weak=False)
    after_setup_logger.connect(_use_our_format, weak=False)
    after_setup_task_logger.connect(_use_our_format, weak=False)


def _begin(instance: Any, **_kwargs: Any) -> None:
    instance.quiet = True  # no banner
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # a page; we say it in a line
    # Told at each loss of the broker: that exports go on meanwhile will be no default some day. Celery resets filters
    # of warnings, so it is the log's.
    logging.getLogger("py.warnings").addFilter(lambda record: "CPendingDeprecationWarning" not in record.getMessage())
    if os.geteuid() == 0:
        logger.warning("this worker runs as root: better give it a system user of its own")
    celery_worker.safe_say = _say
    virtual_transport.emergency_dump_state = _drop  # type: ignore[attr-defined, assignment] # it takes more, which nobody gives


def _use_our_format(logger: logging.Logger, **_kwargs: Any) -> None:
    for one in (logger, get_multiprocessing_logger()):
        for handler in one.handlers:
            handler.setFormatter(OneLine())


def _say(text: str, *_stream: Any, **_kwargs: Any) -> None:
    """What Celery does about a signal. Not by the log, whose writing the signal may have interrupted."""
    record = logging.LogRecord(logger.name, logging.WARNING, __file__, 0, text, None, None)
    os.write(STANDARD_ERROR, f"{OneLine().format(record)}\n".encode())


def _drop(messages: Any, **_kwargs: Any) -> None:
    """kombu would write messages that the broker does not take back into a file below /tmp, and nobody would read it.

    A message only wakes a worker: the next sweep publishes again what is due.
    """
    logger.warning("messages not given back to the broker: %d; the sweep publishes what is due", len(messages))
