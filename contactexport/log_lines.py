"""The format of the log: one line an event, whatever writes it."""

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class OneLine(logging.Formatter):
    """Joins what would be several lines, as those of a traceback, by ` | `."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return " | ".join(line.rstrip() for line in super().format(record).splitlines() if line.strip())


def write_to_stderr() -> None:
    """Once a process has started; one that has a log already keeps it."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler])
