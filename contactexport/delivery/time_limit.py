"""The time limit of a delivery, however slowly a host drips."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# For all commands before and after the upload. A host that needs its whole timeout for every reply is given up.
AROUND_TIMEOUTS = 8
# Enough for a line of 16 KB/s (128 kbit/s), with a margin for its losses.
SLOWEST_BYTES_PER_SECOND = 12_000


def delivery_seconds(timeout: float, size: int) -> float:
    """Returns the limit of a delivery in seconds. `timeout` is that of one reply, `size` is in bytes.

    A limit is needed because every reply and every write has its own timeout, however slowly the host drips.
    """
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
