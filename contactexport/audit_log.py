"""The audit log: one line an event on the logger `contactexport.audit`, a JSON object with fixed names."""

import json
import logging
from typing import Any

logger = logging.getLogger("contactexport.audit")


def note(event: str, **values: Any) -> None:
    """Writes an event with its values; None is left out. Callers pass ids, names and numbers, never contact data."""
    told = {name: value for name, value in values.items() if value is not None}
    logger.info(json.dumps({"event": event} | told, ensure_ascii=False))
