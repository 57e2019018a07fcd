"""Drops old months of the change log without holding up those who change contacts.

From when on the log is complete is noted in the transaction that drops: if the process dies, what is dropped is known.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from contactexport.backend import Backend
from contactexport.db import change_repository
from contactexport.db.change_repository import OUTSIDE_MONTHS, LogMonth
from contactexport.errors import LogInUse, UsageError

TRY_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Prunable:
    """What pruning drops: how many changes in each month, by its name, and how many in none."""

    months: Mapping[str, int]
    strays: int


def require_past(backend: Backend, before: datetime) -> None:
    """Raises UsageError for a date that has not come yet: of months that go on there is more to keep."""
    with backend.contacts.autocommit() as conn:
        if before > change_repository.clock(conn):
            raise UsageError(f"Invalid value for --before: {before:%Y-%m-%d}: a day that is not in the future expected")


def prunable(backend: Backend, before: datetime) -> Prunable:
    """What `prune` and `delete_strays` would drop now."""
    with backend.contacts.transaction() as conn:
        months = change_repository.months_before(conn, before)
        counted = change_repository.count_before(conn, before)
    return Prunable({month.name: counted.get(month.name, 0) for month in months}, counted.get(OUTSIDE_MONTHS, 0))


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
                    f"The change log is in use by an export or a writer: {month.name} not dropped, try again later"
                )
            time.sleep(TRY_AGAIN_SECONDS)
        yield month.name


def delete_strays(backend: Backend, before: datetime) -> int:
    """Deletes changes before that lie in no month of the log; returns how many."""
    with backend.contacts.transaction() as conn:
        return change_repository.delete_before(conn, before)


def _dropped(backend: Backend, month: LogMonth) -> bool:
    with backend.contacts.transaction() as conn:
        return change_repository.drop_month(conn, month)
