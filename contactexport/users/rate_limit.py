"""Limits each user's requests in a minute, so that one user cannot take the share of all."""

import math
import threading
import time
from dataclasses import dataclass

from contactexport.db.connection import Connection, Database
from contactexport.db.queries import queries
from contactexport.users.models import Caller

# A process counts a hundredth of the limit in advance. It serves those requests without asking the database.
REFILLS_A_MINUTE = 100


@dataclass(frozen=True)
class RateLimit:
    """A user's limit after a request: `remaining` of `limit` requests until `void_at` (Unix time).

    Requests in the reserves of other processes do not count as remaining. `refused`: the request was above the limit.
    """

    limit: int
    remaining: int
    void_at: float
    refused: bool = False

    @property
    def retry_after(self) -> int:
        """Seconds until the next minute, at least 1."""
        return max(math.ceil(self.void_at - time.time()), 1)


@dataclass
class _UserReserve:
    limit: int
    unused: int  # counted for this process
    uncounted: int  # left of the limit for all processes
    void_at: float  # Unix time


class RateLimitReserve:
    """The reserves of all users: requests that the database has counted in advance for this process.

    A reserve is void once its minute is over.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reserves: dict[str, _UserReserve] = {}

    def count_request(self, database: Database, caller: Caller, limit: int) -> RateLimit:
        """Counts a request of the running minute. `limit` is that of a user without one of its own.

        No user gets more than the limit. A user of several processes may be refused a few hundredths of it earlier.
        Raises DatabaseUnavailable.
        """
        limit = caller.requests_per_minute or limit
        counted = self.use(caller.name, limit)
        if counted is not None:
            return counted
        wanted = math.ceil(limit / REFILLS_A_MINUTE)
        with database.autocommit() as conn:
            row = queries("limit").count_requests(conn, user_name=caller.name, wanted=wanted, limit=limit)
        left = limit - (row["requests"] - wanted)
        granted = max(min(wanted, left), 0)
        return self.refill_and_use(caller.name, limit, granted, max(left - granted, 0), row["seconds_left"])

    def use(self, user_name: str, limit: int) -> RateLimit | None:
        """Uses one request of the reserve. None: the reserve is empty or void, or was counted for another limit."""
        with self._lock:
            reserve = self._reserves.get(user_name)
            if reserve is None or reserve.limit != limit or reserve.unused == 0 or time.time() >= reserve.void_at:
                return None
            reserve.unused -= 1
            return RateLimit(limit, reserve.unused + reserve.uncounted, reserve.void_at)

    def refill_and_use(self, user_name: str, limit: int, granted: int, uncounted: int, seconds: float) -> RateLimit:
        """Adds `granted` requests, good for `seconds`, and uses one. With an empty reserve the request is refused."""
        with self._lock:
            now = time.time()
            void_at = now + max(seconds, 0)
            former = self._reserves.get(user_name)
            available = granted + (former.unused if former is not None and now < former.void_at else 0)
            unused = max(available - 1, 0)
            self._reserves[user_name] = _UserReserve(limit, unused, uncounted, void_at)
            return RateLimit(limit, unused + uncounted, void_at, refused=available == 0)


def forget_requests(conn: Connection) -> None:
    """Deletes the counts of past minutes."""
    queries("limit").forget_requests(conn)
