"""The audit log: one line an event on the logger `contactexport.audit`, a JSON object with fixed names."""

import json
import logging
from typing import Any

logger = logging.getLogger("contactexport.audit")
encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make an encoder for each line


def note(event: str, **values: Any) -> None:
    """Writes an event with its values; None is left out. Callers pass ids, names and numbers, never contact data."""
    if logger.isEnabledFor(logging.INFO):
        told = {name: value for name, value in values.items() if value is not None}
        # What logger.info does, without looking for the line that calls: it would always be this one.
        logger.handle(
            logging.LogRecord(logger.name, logging.INFO, __file__, 0, encode({"event": event} | told), None, None)
        )
