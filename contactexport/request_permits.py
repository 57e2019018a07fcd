"""Requests of the running minute that were counted in advance, kept in this process until they are used or void."""

import threading
import time
from dataclasses import dataclass


@dataclass
class _Kept:
    requests: int
    void_at: float


class RequestPermits:
    """How many more requests of a user need not be counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def take(self, user_name: str) -> bool:
        """Uses one, if there is one."""
        with self._lock:
            kept = self._kept.get(user_name)
            if kept is None or kept.requests == 0 or time.monotonic() >= kept.void_at:
                return False
            kept.requests -= 1
            return True

    def keep(self, user_name: str, requests: int, seconds: float) -> None:
        """Adds some that are good for so many seconds; what was left from the minute before is void."""
        with self._lock:
            now = time.monotonic()
            kept = self._kept.get(user_name)
            if kept is not None and now < kept.void_at:
                requests += kept.requests
            self._kept[user_name] = _Kept(requests, now + seconds)
