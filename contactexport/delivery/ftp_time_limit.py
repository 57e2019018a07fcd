"""How long one delivery may take however slowly the FTP host drips: every reply and write has its own timeout."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# For all that is said before and after the upload; a host that uses up its timeout for every reply is not worth it.
AROUND_TIMEOUTS = 8
# A line of 16 KB/s (128 kbit/s) gets through, with a margin for what it loses on the way.
SLOWEST_BYTES_PER_SECOND = 12_000


def delivery_seconds(timeout: float, size: int) -> float:
    """The limit for a file of so many bytes; `timeout` in seconds is the one of a single reply."""
    return AROUND_TIMEOUTS * timeout + size / SLOWEST_BYTES_PER_SECOND


@contextmanager
def interrupted_after(seconds: float, interrupt: Callable[[], None]) -> Iterator[None]:
    """Calls `interrupt` from another thread if the block runs longer."""
    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
