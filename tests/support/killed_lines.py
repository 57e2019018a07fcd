"""Applies the last file of a folder once for each line of an applier, and dies before that line each time.

    python killed_lines.py APPLIER DATABASE TABLE FEED FOLDER

Prints after each death that it has died, and waits for a line: whoever reads this looks at the mirror meanwhile.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "mirror"


def trace_lines(function: Any, last: str, seen: Callable[[int], None]) -> None:
    """Calls `seen` before each line of the function that is executed for the manifest `last`."""

    def trace(frame: FrameType, event: str, _value: object) -> Any:
        if frame.f_code is not function.__code__:
            return None
        if event == "line" and frame.f_locals["text"] == last:
            seen(frame.f_lineno)
        return trace

    sys.settrace(trace)


def apply_all(module: Any, database: str, table: str, feed: str, source: str, seen: Callable[[int], None]) -> None:
    driver = module.psycopg2 if hasattr(module, "psycopg2") else module.duckdb
    *_, (last, _path) = module.files(feed, source)
    conn = driver.connect(database)
    trace_lines(module.apply, last, seen)
    for text, path in module.files(feed, source):
        module.apply(conn, table, text, path)


def lines_of(module: Any, database: str, feed: str, source: str) -> list[int]:
    """The lines that are executed for the last file. Another process applies it to another table."""
    reading, writing = os.pipe()
    if not os.fork():
        lines: list[int] = []
        apply_all(module, database, "another", feed, source, lines.append)
        os.write(writing, " ".join(map(str, dict.fromkeys(lines))).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    return [int(line) for line in os.read(reading, 10_000).split()]


def main(applier: str, database: str, table: str, feed: str, source: str) -> None:
    sys.path.insert(0, str(FOLDER))
    module = importlib.import_module(applier)
    for wanted in lines_of(module, database, feed, source):

        def die(line: int, wanted: int = wanted) -> None:
            if line == wanted:
                os.kill(os.getpid(), signal.SIGKILL)

        child = os.fork()
        if not child:
            apply_all(module, database, table, feed, source, die)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        sys.stdout.write(f"{'died' if died else 'survived'} {wanted}\n")
        sys.stdout.flush()
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
