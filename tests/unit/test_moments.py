"""Moments in a time zone, also at either end of the calendar."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from contactexport.moments import in_zone

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def test_moment_is_shown_in_the_zone():
    shown = in_zone(datetime(2012, 7, 9, 22, tzinfo=UTC), ZoneInfo("Europe/Vienna"))
    assert shown.isoformat() == "2012-07-10T00:00:00+02:00"


@pytest.mark.parametrize("zone", ["Europe/Vienna", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
@pytest.mark.parametrize("moment", [FIRST, LAST])
def test_moment_that_has_no_year_in_the_zone_is_shown_in_utc(moment, zone):
    shown = in_zone(moment, ZoneInfo(zone))
    assert shown == moment
    assert shown.isoformat()


def test_other_end_of_the_calendar_is_in_the_zone():
    assert in_zone(LAST, ZoneInfo("America/New_York")).isoformat().endswith("-05:00")
    assert in_zone(FIRST, ZoneInfo("Asia/Tokyo")).isoformat()[:10] == "0001-01-01"
