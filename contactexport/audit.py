"""The log: one line per event. Those of the logger `contactexport.audit` have fixed names and values.

As text they are JSON objects behind the usual beginning of a line. With CONTACTEXPORT_LOG_FORMAT=json every line of the
log is an object.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from contactexport import log_context

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = "contactexport_fields"  # the attribute of a record that has the values of an event

logger = logging.getLogger("contactexport.audit")
encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would create an encoder for each line


def note(event: str, **values: Any) -> None:
    """Writes an event with its values except None. Callers pass ids, names and numbers, never contact data."""
    if logger.isEnabledFor(logging.INFO):
        values["request_id"] = log_context.request_id()
        told = {"event": event} | {name: value for name, value in values.items() if value is not None}
        # Does what logger.info does, without the slow search for the calling line.
        record = logging.LogRecord(logger.name, logging.INFO, __file__, 0, encode(told), None, None)
        setattr(record, FIELDS, told)
        logger.handle(record)


class OneLine(logging.Formatter):
    """Joins several lines, such as a traceback, with ` | `. Ends with the id of the request, if there is one."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line without a line end."""
        line = " | ".join(line.rstrip() for line in super().format(record).splitlines() if line.strip())
        request_id = log_context.request_id()
        return line if request_id is None or hasattr(record, FIELDS) else f"{line} request_id={request_id}"


def formatter(log_format: str) -> logging.Formatter:
    """The formatter of a log that is `text` or `json`."""
    if log_format == "text":
        return OneLine()
    from pythonjsonlogger.json import JsonFormatter  # half of the processes write text

    class JsonLine(JsonFormatter):
        """One JSON object a line."""

        def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            """Fills the object. The values of an event are its own."""
            log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            log_data["level"], log_data["logger"] = record.levelname, record.name
            fields = getattr(record, FIELDS, None)
            log_data |= {"message": record.message} if fields is None else {"message": fields["event"], **fields}
            here = {"request_id": log_context.request_id(), "address": log_context.address()}
            log_data |= {name: value for name, value in here.items() if value is not None and name not in log_data}
            log_data |= message_dict  # a traceback

    return JsonLine(json_ensure_ascii=False)


def write_to_stderr(log_format: str = "text") -> None:
    """Makes a process log to standard error, unless it already has a log."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(log_format))
    logging.basicConfig(handlers=[handler])
