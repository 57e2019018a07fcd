"""When a feed is due: five-field cron in the service's time zone, by cronsim.

As in Debian's cron, a time that the clock skips comes right after the change. One that it shows twice comes once.
A schedule whose minute or hour begins with * follows real time instead.
"""

import itertools
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from contactexport.errors import InvalidRequest

FIELDS = 5
LONGEST = 200
LARGEST_CHANGE = timedelta(hours=3)
EXPECTED = "minute, hour, day of month, month and day of week as in cron expected, such as 0 2 * * *"


def require_valid(schedule: str, now: datetime, zone: tzinfo) -> str:
    """The schedule with single blanks. Raises InvalidRequest, also for that of a day that never comes."""
    text = " ".join(schedule.split())
    if len(text) > LONGEST or len(text.split(" ")) != FIELDS:
        raise InvalidRequest(f"Invalid value for schedule: {text[:LONGEST]}: {EXPECTED}")
    minute, hour, day, month, weekday = text.split(" ")
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", now)
        CronSim(f"* * * {month} *", now)
    except CronSimError as error:
        raise InvalidRequest(f"Invalid value for schedule: {text}: {str(error).lower()}: {EXPECTED}") from None
    try:
        next_time(text, now, zone)
    except (CronSimError, StopIteration):
        raise InvalidRequest(f"Invalid value for schedule: {text}: there is no such day") from None
    return text


def next_time(schedule: str, after: datetime, zone: tzinfo) -> datetime:
    """The first time of the schedule after this moment, UTC. Raises StopIteration if it never comes.

    Around a change of the clock cronsim is not exact: after the second of two equal times it names the first one, and
    with every other hour it loses a time where the clock changes by half an hour.
    """
    local = after.astimezone(zone)
    found = next(time for one in CronSim(schedule, local) if (time := one.astimezone(UTC)) > after)
    minute, hour = schedule.split()[:2]
    follows_real_time = minute.startswith("*") or hour.startswith("*")
    if not follows_real_time or found.astimezone(zone).utcoffset() == local.utcoffset():
        return found
    shown = CronSim(schedule, local.replace(tzinfo=None) - LARGEST_CHANGE)
    end = found.astimezone(zone).replace(tzinfo=None) + LARGEST_CHANGE
    for wall in itertools.takewhile(lambda one: one < end, shown):
        for fold in (0, 1):
            time = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
            if after < time < found and time.astimezone(zone).replace(tzinfo=None) == wall:
                found = time
    return found


def due_and_late(schedule: str | None, now: datetime, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    """When the next run is due, and the time after it, when it would be late. None without a schedule."""
    if schedule is None:
        return None, None
    due = next_time(schedule, now, zone)
    return due, next_time(schedule, due, zone)
