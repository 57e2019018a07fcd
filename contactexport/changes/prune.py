"""Drops old months of the change log without blocking those who change contacts.

The same transaction drops a month and notes from when on the log is complete. So the note is right even if the process
dies.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from contactexport.changes import log
from contactexport.changes.log import OUTSIDE_MONTHS, LogMonth
from contactexport.context import Context
from contactexport.errors import LogInUse, UsageError

RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Prunable:
    """The changes that pruning drops: those of each month, by the name of its table, and those outside any month.

    `removals` are contacts that were deleted or moved.
    """

    months: Mapping[str, int]
    strays: int
    removals: int


def require_past(context: Context, before: datetime) -> None:
    """Raises UsageError for a date in the future: the current month must not be dropped."""
    with context.contacts.autocommit() as conn:
        if before > log.clock(conn):
            raise UsageError(f"Invalid value for --before: {before:%Y-%m-%d}: a day that is not in the future expected")


def prunable(context: Context, before: datetime) -> Prunable:
    """Counts what `prune` and `delete_strays` would drop now."""
    with context.contacts.transaction() as conn:
        months = log.months_before(conn, before)
        counted = log.count_before(conn, before)
        removals = log.count_removals_before(conn, before)
    by_month = {month.name: counted.get(month.name, 0) for month in months}
    return Prunable(by_month, counted.get(OUTSIDE_MONTHS, 0), removals)


def prune(context: Context, before: datetime, patience: float) -> Iterator[str]:
    """Drops the months that ended by `before`, each in its own transaction, and yields the name of each.

    Raises LogInUse when exports or writers keep the log in use for `patience` seconds. What was dropped stays dropped.
    """
    with context.contacts.transaction() as conn:
        months = log.months_before(conn, before)
    give_up = time.monotonic() + patience
    for month in months:
        while not drop_month(context, month):
            if time.monotonic() > give_up:
                raise LogInUse(
                    f"The change log is in use by an export or a writer: {month.name} not dropped, try again later"
                )
            time.sleep(RETRY_SECONDS)
        yield month.name


def drop_month(context: Context, month: LogMonth) -> bool:
    """Drops a month in one transaction. Returns False if the log is in use."""
    with context.contacts.transaction() as conn:
        return log.drop_month(conn, month)


def delete_strays(context: Context, before: datetime) -> int:
    """Deletes the changes before a date that are in no month's table, and returns how many. Deletes removals, too."""
    with context.contacts.transaction() as conn:
        log.delete_removals_before(conn, before)
        return log.delete_before(conn, before)
