"""The list of exports: filters, pages, what a user of a team sees, and the part that reloads itself."""

import re

import pytest

from contactexport.console import store
from tests.support.console_pages import signed_in
from tests.support.exporting import execute, request, settings_for

ROW = re.compile(r'<a id="export-(\d+)"')


def shown(browser, **filters) -> list[int]:
    answer = browser.get("/console/exports", query_string=filters)
    assert answer.status_code == 200
    return [int(number) for number in ROW.findall(answer.text)]


def add_export(context, number: int = 0, **columns) -> int:
    """An export with these columns."""
    changes = {"origin_ids": (1000 + number,)}
    export_id = request(context, settings_for(**changes))
    if columns:
        names = ", ".join(f"{name} = %s" for name in columns)
        execute(context, f"UPDATE export SET {names} WHERE id = %s", [*columns.values(), export_id])
    return export_id


FAILED = {"status": "error", "error": "550 No such folder", "due_at": None, "finished_at": "2026-01-01"}


def test_filters_choose_the_exports(app, context):
    waiting = add_export(context, 1, created_by="anna")
    failed = add_export(context, 2, created_by="bert", **FAILED)
    browser = signed_in(app, context, operator=True)
    assert shown(browser) == [failed, waiting]
    assert shown(browser, status="error") == [failed]
    assert shown(browser, status="unfinished") == [waiting]
    assert shown(browser, user="anna") == [waiting]
    assert shown(browser, origin="form:1002") == [failed]
    assert shown(browser, origin="form") == [failed, waiting]
    assert shown(browser, origin="all") == []
    assert shown(browser, q="no such FOLDER") == [failed]
    assert waiting in shown(browser, q=str(waiting))
    assert shown(browser, q=f"Changes_{waiting}_") == [waiting]


@pytest.mark.parametrize(
    "asked",
    [{"status": "gone"}, {"origin": "form:x"}, {"origin": "';--"}, {"before": "x"}, {"before": "-1"}],
)
def test_filter_that_means_nothing_is_no_error_of_the_service(app, context, asked):
    only = add_export(context)
    browser = signed_in(app, context, operator=True)
    assert shown(browser, **asked) == [only]


def test_percent_and_underscore_are_plain_signs(app, context):
    add_export(context)
    browser = signed_in(app, context, operator=True)
    assert shown(browser, q="%") == shown(browser, q="c_anges") == []


def test_pages_follow_each_other_without_gap(app, context, monkeypatch):
    monkeypatch.setattr(store, "PAGE_SIZE", 3)
    monkeypatch.setattr(store, "MOST_LOOKED_AT", 4)
    exports = [add_export(context, number) for number in range(8)]
    browser = signed_in(app, context, operator=True)
    for filters in ({}, {"q": "changes"}):
        found, url = [], f"/console/exports{'?q=changes' if filters else ''}"
        while url:
            text = browser.get(url).text
            found += [int(number) for number in ROW.findall(text)]
            older = re.search(r'href="([^"]+)" rel="next"', text)
            url = older and older[1].replace("&amp;", "&")
        assert found == exports[::-1]


def test_user_of_a_team_sees_only_its_exports(app, context):
    own, other = add_export(context, 1, team="shop"), add_export(context, 2, team="press")
    assert shown(signed_in(app, context, "anna", team="shop")) == [own]
    assert shown(signed_in(app, context, "vera", viewer=True)) == [other, own]


def test_part_that_reloads_is_sent_only_when_it_has_changed(app, context):
    export_id = add_export(context)
    browser = signed_in(app, context, operator=True)
    url = re.search(r'hx-get="([^"]+)"', browser.get("/console/exports").text)[1].replace("&amp;", "&")
    assert browser.get(url).status_code == 204
    execute(
        context,
        "UPDATE export SET status = 'in progress', claimed_at = now(), rows_begun_at = now(), rows_expected = 800, "
        "rows_written = 200, rows_written_at = now() + interval '10 seconds' WHERE id = %s",
        [export_id],
    )
    text = browser.get(url).text
    assert '<progress max="100" value="25"' in text
    assert "20</span> a second, 30 s left" in text
    assert "<html" not in text


def test_polls_are_not_in_the_audit_log(app, context, caplog):
    caplog.set_level("INFO")
    browser = signed_in(app, context, operator=True)
    caplog.clear()
    assert browser.get("/console/exports?part=rows", headers={"HX-Request": "true"}).status_code == 200
    assert caplog.text == ""
