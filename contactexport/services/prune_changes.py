"""Drops old months of the change log without holding up those who change contacts."""

import time
from collections.abc import Iterator
from datetime import datetime

from contactexport.backend import Backend
from contactexport.db import change_repository
from contactexport.errors import LogInUse

TRY_AGAIN_SECONDS = 0.5


def prune(backend: Backend, before: datetime, patience: float) -> Iterator[str]:
    """Drops the months that ended before, each in a transaction of its own, and tells the name of each.

    Raises LogInUse when exports or writers keep a month in use for so many seconds; what was dropped stays dropped.
    """
    with backend.contacts.transaction() as conn:
        months = change_repository.months_before(conn, before)
    give_up = time.monotonic() + patience
    for month in months:
        while not _dropped(backend, month):
            if time.monotonic() > give_up:
                raise LogInUse(
                    f"The change log is in use by an export or a writer: {month} not dropped, try again later"
                )
            time.sleep(TRY_AGAIN_SECONDS)
        yield month


def delete_strays(backend: Backend, before: datetime) -> int:
    """Deletes changes before that lie in no month of the log; returns how many."""
    with backend.contacts.transaction() as conn:
        return change_repository.delete_before(conn, before)


def _dropped(backend: Backend, month: str) -> bool:
    with backend.contacts.transaction() as conn:
        return change_repository.drop_month(conn, month)
