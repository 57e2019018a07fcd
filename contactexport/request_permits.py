"""Requests of the running minute that were counted in advance, kept in this process until they are used or void."""

import math
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class RateLimit:
    """A user's requests of the running minute after one of them: `remaining` of `limit`, until `void_at` (Unix time).

    `refused` when that one was one too many. Requests that other processes have counted in advance are not remaining.
    """

    limit: int
    remaining: int
    void_at: float
    refused: bool = False

    @property
    def reset(self) -> int:
        """The whole second (Unix time) in which the next minute has begun."""
        return math.ceil(self.void_at)

    @property
    def retry_after(self) -> int:
        """Seconds until the next minute, at least 1."""
        return max(math.ceil(self.void_at - time.time()), 1)


@dataclass
class _Kept:
    limit: int
    requests: int  # counted for this process
    left: int  # counted for nobody yet
    void_at: float  # Unix time


class RequestPermits:
    """How many more requests of a user need not be counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def take(self, user_name: str, limit: int) -> RateLimit | None:
        """Uses one; None when there is none, or when they were counted for another limit."""
        with self._lock:
            kept = self._kept.get(user_name)
            if kept is None or kept.limit != limit or kept.requests == 0 or time.time() >= kept.void_at:
                return None
            kept.requests -= 1
            return RateLimit(limit, kept.requests + kept.left, kept.void_at)

    def keep(self, user_name: str, limit: int, granted: int, left: int, seconds: float) -> RateLimit:
        """Takes in what was counted just now and uses one of it, unless nothing was granted.

        It is good for so many seconds. What is left of the minute before is void.
        """
        with self._lock:
            now = time.time()
            void_at = now + max(seconds, 0)
            kept = self._kept.get(user_name)
            unused = kept.requests if kept is not None and now < kept.void_at else 0
            requests = max(granted + unused - 1, 0)
            self._kept[user_name] = _Kept(limit, requests, left, void_at)
            return RateLimit(limit, requests + left, void_at, refused=granted + unused == 0)
