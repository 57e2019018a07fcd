"""Keeps one user from taking everybody's share."""

import math

from contactexport.backend import Backend
from contactexport.db import limit_repository
from contactexport.errors import TooManyRequests

UNFINISHED_RETRY_SECONDS = 30
# Of a minute's requests a process has so many counted at a time, and serves them without asking again.
ONE_OF = 100


def count_request(backend: Backend, user_name: str) -> None:
    """Counts a request of this minute. Raises TooManyRequests above the limit, DatabaseUnavailable.

    No user gets more than the limit; who asks several processes may be refused a few hundredths earlier.
    """
    if backend.permits.take(user_name):
        return
    limit = backend.settings.requests_per_minute
    wanted = math.ceil(limit / ONE_OF)
    with backend.database.autocommit() as conn:
        granted, seconds_left = limit_repository.count_requests(conn, user_name, wanted, limit)
    if granted == 0:
        raise TooManyRequests(f"More than {limit} requests in a minute", max(math.ceil(seconds_left), 1))
    backend.permits.keep(user_name, granted - 1, seconds_left)


def too_many_unfinished(backend: Backend) -> TooManyRequests:
    """The refusal of a user who has as many unfinished exports as allowed."""
    limit = backend.settings.exports_per_user
    return TooManyRequests(f"{limit} exports are not finished yet: no more at a time", UNFINISHED_RETRY_SECONDS)
