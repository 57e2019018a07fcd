"""Keeps one user from taking everybody's share."""

from contactexport.backend import Backend
from contactexport.db import limit_repository
from contactexport.db.connection import Connection
from contactexport.errors import TooManyRequests

UNFINISHED_RETRY_SECONDS = 30


def count_request(backend: Backend, user_name: str) -> None:
    """Counts a request of this minute. Raises TooManyRequests above the limit, DatabaseUnavailable."""
    limit = backend.settings.requests_per_minute
    with backend.database.transaction() as conn:
        requests, seconds_left = limit_repository.count_request(conn, user_name)
    if requests > limit:
        raise TooManyRequests(f"More than {limit} requests in a minute", seconds_left)


def require_room(backend: Backend, conn: Connection, created_by: str) -> None:
    """Raises TooManyRequests when the user has as many unfinished exports as allowed."""
    limit = backend.settings.exports_per_user
    if limit_repository.count_unfinished_exports(conn, created_by) >= limit:
        raise TooManyRequests(f"{limit} exports are not finished yet: no more at a time", UNFINISHED_RETRY_SECONDS)
