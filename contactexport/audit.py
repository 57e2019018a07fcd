"""The log: one line per event. Those of the logger `contactexport.audit` are JSON objects with fixed names."""

import json
import logging
from typing import Any

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

logger = logging.getLogger("contactexport.audit")
encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would create an encoder for each line


def note(event: str, **values: Any) -> None:
    """Writes an event with its values except None. Callers pass ids, names and numbers, never contact data."""
    if logger.isEnabledFor(logging.INFO):
        told = {name: value for name, value in values.items() if value is not None}
        # Does what logger.info does, without the slow search for the calling line.
        logger.handle(
            logging.LogRecord(logger.name, logging.INFO, __file__, 0, encode({"event": event} | told), None, None)
        )


class OneLine(logging.Formatter):
    """Joins several lines, such as a traceback, with ` | `."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line without a line end."""
        return " | ".join(line.rstrip() for line in super().format(record).splitlines() if line.strip())


def write_to_stderr() -> None:
    """Makes a process log to standard error, unless it already has a log."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler])
