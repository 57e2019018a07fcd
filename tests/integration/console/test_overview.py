"""The overview: what needs attention, and how exports went."""

import json
import re
from html import unescape

import pytest

from tests.support.console_pages import signed_in
from tests.support.exporting import execute, request, run, settings_for
from tests.support.feeds import add_feed

FAILED = "UPDATE export SET status = 'error', error = %s, due_at = NULL, finished_at = now() WHERE id = %s"


def matters_of(browser) -> list[str]:
    text = browser.get("/console/").text
    return [unescape(one) for one in re.findall(r'<a id="matter-\d+" href="[^"]+">([^<]+)</a>', text)]


def test_nothing_needs_attention_at_first(app, context):
    text = signed_in(app, context, operator=True).get("/console/").text
    assert "Nothing. No error in the last 24 hours" in text
    assert "No export is running or waiting." in text


def test_errors_are_counted_by_their_reason(app, context):
    exports = [request(context, settings_for(origin_ids=(number,))) for number in range(1, 4)]
    for export_id, reason in zip(exports, ("disk full", "disk full", "550 No such folder"), strict=True):
        execute(context, FAILED, [reason, export_id])
    browser = signed_in(app, context, operator=True)
    assert matters_of(browser) == [
        f"Export {exports[2]} ended in error",
        f"2 exports ended in error, the last one is {exports[1]}",
    ]


def test_overdue_exports_without_a_worker_come_first(app, context):
    execute(context, FAILED, ["disk full", request(context, settings_for(origin_ids=(1,)))])
    request(context, settings_for())
    execute(context, "UPDATE export SET due_at = now() - interval '1 hour' WHERE status = 'scheduled'")
    browser = signed_in(app, context, operator=True)
    assert matters_of(browser)[0] == "No worker works on exports"


def test_export_that_is_retried_is_told(app, context):
    request(context, settings_for())
    execute(context, "UPDATE export SET error = 'the host is away', due_at = now() + interval '1 hour'")
    assert matters_of(signed_in(app, context, operator=True)) == ["An export was put off after an error"]


def test_feed_that_paused_itself_is_told(app, context):
    feed = add_feed(context)
    execute(context, "UPDATE feed SET paused_at = now(), pause_kind = 'columns', pause_reason = 'The column is gone'")
    browser = signed_in(app, context, operator=True)
    assert matters_of(browser) == [f"Feed {feed.name} of the team {feed.team} has paused itself"]
    execute(context, "UPDATE feed SET pause_kind = 'asked'")
    assert matters_of(browser) == []


def test_user_of_a_team_reads_of_its_team_only(app, context):
    execute(context, FAILED, ["disk full", request(context, settings_for(origin_ids=(1,)))])
    run(context, request(context, settings_for()))
    assert matters_of(signed_in(app, context, team="shop")) == []
    assert matters_of(signed_in(app, context, "vera", viewer=True)) != []


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "nonsense"])
def test_figures_count_every_export_once(app, context, period):
    run(context, request(context, settings_for()))
    execute(context, FAILED, ["disk full", request(context, settings_for(origin_ids=(1,)))])
    browser = signed_in(app, context, operator=True)
    text = browser.get("/console/", query_string={"period": period}).text
    _times, done, failed = json.loads(re.search(r'data-plot="ended"[^>]*data-values=\'([^\']+)\'', text)[1])
    assert (sum(done), sum(failed)) == (1, 1)
    assert len(done) == {"7d": 7, "30d": 30}.get(period, 24)
