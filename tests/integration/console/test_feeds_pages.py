"""Feeds in the console: their lines, one feed, and its buttons."""

import html
import json
import re
from datetime import timedelta

import pytest

from contactexport.errors import DatabaseUnavailable
from contactexport.feeds import manage, store
from contactexport.feeds.models import PauseKind
from contactexport.users.models import Caller
from tests.support.console_pages import signed_in
from tests.support.exporting import add_contact, execute
from tests.support.feeds import add_feed, feed_of, let_pass_for_feeds, rename_field, run_feed, runs_of, to_ftp

FEEDS = "/console/feeds"
TESTER = Caller("tester", operator=True)


def operator(app, context):
    return signed_in(app, context, operator=True)


def press(browser, page: str, name: str, button: str, **fields):
    """Opens a page and sends one of its buttons about a feed."""
    browser.get(page)
    return browser.post(f"{FEEDS}/{name}/{button}", **fields)


def paused_by_itself(context):
    """A feed with one file that paused because a column was renamed."""
    feed = add_feed(context)
    run_feed(context, feed)
    rename_field(context, 1, "Given Name")
    run_feed(context, feed)
    return feed_of(context, feed.id)


def test_list_has_a_line_for_each_feed_and_tells_it_in_words(app, context):
    feed = add_feed(context)
    for _ in range(2):
        run_feed(context, feed)
    add_feed(context, "hourly", cron="0 * * * *")
    page = operator(app, context).get(FEEDS).text
    assert 'aria-label="nightly: 2 files"' in page
    assert 'aria-label="hourly: 0 files"' in page
    assert re.search(r'<path class="w-done" d="M\d', page)
    assert "sequence 2, until" in page


def test_late_feed_comes_first_and_says_so(app, context):
    add_feed(context, "a-good-one", cron=None)
    add_feed(context, "z-late")
    let_pass_for_feeds(context, timedelta(days=3))
    with context.database.transaction() as conn:
        store.note_late(conn)
    page = operator(app, context).get(FEEDS).text
    assert page.index("z-late") < page.index("a-good-one")
    assert 'class="w-overdue"' in page
    assert re.search(r"badge bad.*late", page)


def pages_of(browser) -> list[str]:
    """Every page of the list, by its links."""
    found, url = [], FEEDS
    while url:
        found.append(browser.get(url).text)
        following = re.search(r'href="([^"]+)" rel="next"', found[-1])
        url = following and html.unescape(following[1])
    return found


def test_list_goes_on_by_key_from_those_to_look_at(app, context, monkeypatch):
    monkeypatch.setattr("contactexport.console.feed_store.FEEDS_PER_PAGE", 2)
    for name, team in (("b", "shop"), ("a", "shop"), ("a", "x &amp;='"), ("c", "default"), ("z", "default")):
        add_feed(context, name, team=team, cron=None)
    manage.pause(context, add_feed(context, "paused", team="z"), TESTER)
    execute(context, "UPDATE feed SET late_told_at = now() WHERE name = 'z'")
    browser = operator(app, context)
    pages = pages_of(browser)
    assert [re.findall(r'aria-label="([^":]+): \d+ files', page) for page in pages] == [
        ["paused", "z"],
        ["c", "a"],
        ["b", "a"],
    ]
    assert ['rel="prev"' in page for page in pages] == [False, True, True]
    assert "There is no feed after these." in browser.get(f"{FEEDS}?rank=9&of=z&after=z").text
    assert 'aria-label="paused' in browser.get(f"{FEEDS}?rank=x").text
    of_team = signed_in(app, context, "tim", team="shop")
    assert [re.findall(r'aria-label="([^":]+): \d+ files', page) for page in pages_of(of_team)] == [["a", "b"]]


def test_first_view_of_many_feeds_is_small(app, context):
    feed = add_feed(context, f"{0:03} of the newsletter")
    export = run_feed(context, feed)
    execute(
        context,
        "INSERT INTO feed (name, team, created_by, settings, schedule, sequence, cursor, due_at, next_late_at, "
        "late_at) SELECT to_char(n, 'FM000') || ' of the newsletter', team, created_by, settings, schedule, 7, now(), "
        "due_at, next_late_at, late_at FROM feed, generate_series(1, 199) AS n",
    )
    columns = [
        row["column_name"]
        for row in execute(
            context,
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'export' AND is_generated = 'NEVER' "
            "AND column_name NOT IN ('id', 'feed_id', 'feed_sequence', 'finished_at', 'effective_until', 'file_name') "
            "AND table_schema = current_schema()",
        )
    ]
    copied = ", ".join(columns)
    execute(
        context,
        f"INSERT INTO export (feed_id, feed_sequence, finished_at, effective_until, file_name, {copied}) "
        "SELECT f.id, 1 + n, e.finished_at - make_interval(days => 6 - n), "
        "e.effective_until - make_interval(days => 6 - n), e.file_name || f.id || '-' || n, "
        + ", ".join(f"e.{one}" for one in columns)
        + " FROM export AS e, feed AS f, generate_series(0, 6) AS n WHERE e.id = %s AND f.id <> e.feed_id",
        (export.id,),
    )
    browser = operator(app, context)
    pages = [browser.get(FEEDS).text]
    assert pages[0].count(": 7 files") >= 49
    assets = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', pages[0])
    gzipped = {"Accept-Encoding": "gzip"}
    size = len(pages[0].encode()) + sum(len(browser.get(html.unescape(one), headers=gzipped).data) for one in assets)
    assert size <= 150_000
    assert len(pages_of(browser)) == 4


def test_feeds_of_other_teams_are_on_no_page_of_a_user(app, context):
    add_feed(context, team="shop")
    browser = signed_in(app, context, "tim", team="other")
    assert "nightly" not in browser.get(FEEDS).text
    for path in ("", "/pause", "/run", "/verify", "/resume"):
        answer = browser.get(FEEDS + "/nightly") if not path else browser.post(f"{FEEDS}/nightly{path}")
        assert answer.status_code == 404
    assert execute(context, "SELECT id FROM export") == []


def test_viewer_sees_every_feed_and_has_no_buttons(app, context):
    feed = add_feed(context, team="shop")
    browser = signed_in(app, context, "vera", viewer=True)
    for page in (FEEDS, f"{FEEDS}/nightly"):
        assert "nightly" in browser.get(page).text
        assert "formaction" not in browser.get(page).text
    for button in ("pause", "run", "verify", "resume"):
        assert browser.post(f"{FEEDS}/nightly/{button}").status_code == 403
    assert feed_of(context, feed.id) == feed


def test_feed_is_paused_and_resumed_with_lines_in_the_audit_log(app, context, caplog):
    feed = add_feed(context)
    browser = operator(app, context)
    caplog.set_level("INFO", "contactexport.audit")
    assert press(browser, FEEDS, "nightly", "pause", **{"from": "list"}).headers["Location"] == FEEDS
    assert feed_of(context, feed.id).paused_by == "olga"
    assert "olga has paused it" in browser.get(f"{FEEDS}/nightly").text
    browser.post(f"{FEEDS}/nightly/resume")
    assert feed_of(context, feed.id).paused_at is None
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "contactexport.audit"]
    told = [one for one in lines if one.get("door") == "console"]
    assert [(one["event"], one["user"], one["address"], one["feed"]) for one in told] == [
        ("feed paused", "olga", "127.0.0.1", "nightly"),
        ("feed resumed", "olga", "127.0.0.1", "nightly"),
    ]


@pytest.mark.parametrize(
    ("button", "used"),
    [("resume", "contactexport.feeds.manage.resume"), ("run", "contactexport.feeds.run.start")],
)
def test_fault_of_the_service_is_not_told_on_the_page(app, context, monkeypatch, button, used):
    def unavailable(*_args):
        raise DatabaseUnavailable("connection to server at 10.1.2.3 failed for role anna")

    add_feed(context)
    browser = operator(app, context)
    monkeypatch.setattr(used, unavailable)
    answer = press(browser, FEEDS, "nightly", button)
    assert (answer.status_code, "10.1.2.3" in answer.text) == (503, False)
    assert "10.1.2.3" not in browser.get(FEEDS).text


def test_feed_that_paused_itself_shows_why_and_the_new_columns(app, context):
    feed = paused_by_itself(context)
    assert feed.pause_kind is PauseKind.COLUMNS
    browser = operator(app, context)
    page = browser.get(f"{FEEDS}/nightly").text
    assert "The columns would change from" in page
    assert "<dd>user_id, First Name, E-Mail, last update, change</dd>" in page
    assert "<dd>user_id, Given Name, E-Mail, last update, change</dd>" in page
    browser.post(f"{FEEDS}/nightly/resume")
    assert feed_of(context, feed.id).paused_at is None


def test_resume_that_is_refused_says_why(app, context):
    feed = paused_by_itself(context)
    execute(context, "DELETE FROM contact_field WHERE id = 1")
    browser = operator(app, context)
    assert press(browser, f"{FEEDS}/nightly", "nightly", "resume").status_code == 303
    page = browser.get(f"{FEEDS}/nightly").text
    assert "Invalid contact field id: 1" in page
    assert "1 (gone)" in page
    assert feed_of(context, feed.id).paused_at is not None


def test_run_leads_to_its_export_and_a_second_one_to_the_same(app, context):
    feed = add_feed(context)
    browser = operator(app, context)
    first = press(browser, FEEDS, "nightly", "run")
    export_id = runs_of(context, feed)[0]["id"]
    assert (first.status_code, first.headers["Location"]) == (303, f"/console/exports/{export_id}")
    assert press(browser, FEEDS, "nightly", "run").headers["Location"] == f"/console/exports/{export_id}"
    assert len(runs_of(context, feed)) == 1


def test_paused_feed_does_not_run(app, context):
    feed = add_feed(context)
    manage.pause(context, feed, TESTER)
    browser = operator(app, context)
    press(browser, FEEDS, "nightly", "run")
    assert "The feed nightly is paused" in browser.get(f"{FEEDS}/nightly").text
    assert runs_of(context, feed) == []


def test_buttons_need_the_csrf_token(app, context):
    add_feed(context)
    browser = operator(app, context)
    browser.csrf_token = ""
    assert browser.post(f"{FEEDS}/nightly/pause").status_code == 400


def test_files_are_paged_from_the_newest_on(app, context, monkeypatch):
    monkeypatch.setattr("contactexport.console.feed_store.FILES_PER_PAGE", 2)
    feed = add_feed(context)
    for _ in range(3):
        run_feed(context, feed)
    browser = operator(app, context)
    first = browser.get(f"{FEEDS}/nightly").text
    sequences = r'<td class="right number">(\d+)</td>'
    assert re.findall(sequences, first) == ["3", "2"]
    older = re.search(r'href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    assert re.findall(sequences, browser.get(older).text) == ["1"]
    assert re.findall(sequences, browser.get(f"{FEEDS}/nightly?before=x-1").text) == ["3", "2"]


def test_manifest_is_shown_as_it_was_signed(app, context):
    feed = add_feed(context)
    export = run_feed(context, feed)
    browser = operator(app, context)
    answer = browser.get(f"{FEEDS}/manifest/{export.id}")
    assert (answer.mimetype, answer.text) == ("application/json", export.manifest)
    foreign = signed_in(app, context, "tim", team="shop")
    assert foreign.get(f"{FEEDS}/manifest/{export.id}").status_code == 404


def test_verify_shows_one_line_a_fault(app, context):
    feed = add_feed(context)
    add_contact(context, first_name="Anna")
    export = run_feed(context, feed)
    browser = operator(app, context)
    page = press(browser, f"{FEEDS}/nightly", "nightly", "verify")
    assert (page.status_code, "Verified" in page.text, "1 stored files" in page.text) == (200, True, True)
    path = context.settings.storage_dir / export.file_name
    path.write_bytes(path.read_bytes().replace(b"Anna", b"Otto"))
    page = press(browser, f"{FEEDS}/nightly", "nightly", "verify").text
    assert "1 fault" in page
    assert f"<code>{export.file_name}</code> has another content" in page


def test_texts_of_hosts_and_users_are_text(app, context):
    feed = add_feed(context, **to_ftp(2121, folder="in/<b>'\"</b>"))
    run = "UPDATE export SET status = 'error', finished_at = now(), due_at = NULL, error = %s WHERE feed_id = %s"
    browser = operator(app, context)
    press(browser, FEEDS, "nightly", "run")
    execute(context, run, ("\x1b[31m550 <script>alert(1)</script>\x00"[:-1], feed.id))
    page = browser.get(f"{FEEDS}/nightly").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page
    assert "<b>'" not in page


@pytest.mark.parametrize("days", ["1", "30", "0", "x"])
def test_period_is_one_of_a_few(app, context, days):
    add_feed(context)
    assert operator(app, context).get(f"{FEEDS}?days={days}").status_code == 200
