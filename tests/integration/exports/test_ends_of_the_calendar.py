"""Windows at either end of the calendar, which have no year in the time zone of the service, are shown and notified."""

import dataclasses
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from contactexport.exports import status as export_status
from tests.support.console_pages import signed_in
from tests.support.exporting import REQUIRED_ONLY, TESTER, request, row_of, run, settings_for
from tests.support.notification_receiver import receiver
from tests.support.notifying import notify

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
REFUSED = "Valid start_date and end_date is required"
ENDS = pytest.mark.parametrize(
    ("zone", "text"),
    [("Europe/Vienna", "9999-12-31T23:59:59.999999+00:00"), ("America/New_York", "0001-01-01T00:00:00+00:00")],
)


def moved_to(app, context, zone: str):
    """The service in another time zone."""
    moved = dataclasses.replace(context, settings=dataclasses.replace(context.settings, time_zone=ZoneInfo(zone)))
    app.extensions["contactexport"] = moved
    return moved


@ENDS
def test_stored_window_is_in_the_status_and_on_every_page(app, context, api, zone, text):
    export_id = request(context, settings_for(start=FIRST, end=LAST))
    moved_to(app, context, zone)
    assert text in api.get(f"/api/v2/export/{export_id}").json["data"]["time_range"]
    assert text in api.get("/api/v2/export").json["data"][0]["time_range"]
    browser = signed_in(app, context, operator=True)
    for path in (f"/console/exports/{export_id}", f"/console/new-export?again={export_id}"):
        page = browser.get(path)
        assert (page.status_code, text[:19] in page.text) == (200, True), path
    assert browser.get("/console/exports").status_code == 200


@ENDS
def test_export_with_a_stored_window_is_notified(app, context, zone, text):
    with receiver() as there:
        export_id = request(context, settings_for(start=FIRST, end=LAST, notification_url=there.url("/exported")))
        assert run(context, export_id).status == "done"
        notify(moved_to(app, context, zone), export_id)
        assert row_of(context, export_id)["notified_at"] is not None
        assert text in json.loads(there.received[-1].body)["time_range"]


@pytest.mark.parametrize(
    ("zone", "window"),
    [
        ("Europe/Vienna", ["2012-02-09", "9999-12-31T23:59:59Z"]),
        ("America/New_York", ["0001-01-01T00:00Z", "2012-04-02"]),
    ],
)
def test_window_that_no_answer_could_show_is_refused(app, context, api, zone, window):
    moved = moved_to(app, context, zone)
    answer = api.post("/api/v2/contact/getchanges", json=REQUIRED_ONLY | {"time_range": window})
    assert (answer.status_code, answer.json["replyText"]) == (400, REFUSED)
    assert export_status.newest(moved, TESTER, status=None, before=None, limit=1) == []


def test_feed_that_starts_before_the_calendar_is_refused(app, context, api):
    moved_to(app, context, "America/New_York")
    feed = {name: value for name, value in REQUIRED_ONLY.items() if name != "time_range"}
    api.post("/api/v2/feed", json=feed | {"name": "nightly"})
    for answer in (
        api.post("/api/v2/feed", json=feed | {"name": "other", "from": "0001-01-01T00:00Z"}),
        api.patch("/api/v2/feed/nightly", json={"from": "0001-01-01T00:00Z"}),
    ):
        assert (answer.status_code, answer.json["replyText"]) == (400, "Invalid value for from: 0001-01-01T00:00Z")
