"""How moments are shown in a time zone."""

from datetime import UTC, datetime, tzinfo


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """The moment in the time zone, or in UTC if it would have no year there.

    At either end of the calendar a zone is in a year that Python does not have. What is stored must be shown anyway.
    """
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.astimezone(UTC)
