"""Keeps one user from taking everybody's share."""

import math

from contactexport.backend import Backend
from contactexport.db import limit_repository
from contactexport.models import Caller
from contactexport.request_permits import RateLimit

# Of a minute's requests a process has so many counted at a time, and serves them without asking again.
ONE_OF = 100


def count_request(backend: Backend, caller: Caller) -> RateLimit:
    """Counts a request of this minute. Raises DatabaseUnavailable.

    No user gets more than the limit; who asks several processes may be refused a few hundredths earlier.
    """
    limit = caller.requests_per_minute or backend.settings.requests_per_minute
    taken = backend.permits.take(caller.name, limit)
    if taken is not None:
        return taken
    wanted = math.ceil(limit / ONE_OF)
    with backend.database.autocommit() as conn:
        granted, left, seconds_left = limit_repository.count_requests(conn, caller.name, wanted, limit)
    return backend.permits.keep(caller.name, limit, granted, left, seconds_left)
