"""`flask feeds`: what it prints, and how it ends for mistakes."""

import json

import pytest

from contactexport.context import Context
from contactexport.exports import cancel
from contactexport.exports import store as export_store
from contactexport.feeds import run as feed_run
from tests.support.exporting import PASSWORD, TESTER, add_contact, execute
from tests.support.feeds import add_feed, attempt, feed_of, rename_field, run_feed, to_ftp
from tests.support.ftp_hosts import free_port

NIGHTLY = ["feeds", "add", "nightly", "--origin", "form", "--origin-id", "123", "--fields", "email,1", "--removed"]


def done(runner, *arguments: str, **environment: str):
    """The JSON that a command prints."""
    ended = runner.invoke(args=[*arguments, "--json"], env=environment)
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def refused(runner, *arguments: str) -> tuple[int, str]:
    ended = runner.invoke(args=arguments)
    assert "Traceback" not in ended.output
    return ended.exit_code, ended.stderr.strip().splitlines()[-1]


def test_feed_from_its_first_command_to_its_last(context: Context, runner):
    add_contact(context, first_name="Anna")
    feed = done(runner, *NIGHTLY, "--schedule", "0 2 * * *")
    assert (feed["name"], feed["contact_fields"], feed["removed"], feed["schedule"]) == (
        "nightly",
        [3, 1],
        1,
        "0 2 * * *",
    )
    ran = done(runner, "feeds", "run", "nightly")
    assert (ran["status"], ran["type"], ran["feed"], ran["sequence"], ran["rows"]) == ("done", "full", "nightly", 1, 1)
    assert done(runner, "feeds", "show", "nightly")["sequence"] == 1
    assert [one["name"] for one in done(runner, "feeds", "list")] == ["nightly"]
    assert done(runner, "feeds", "pause", "nightly")["paused"] is True
    assert refused(runner, "feeds", "run", "nightly")[0] == 1
    assert done(runner, "feeds", "resume", "nightly")["paused"] is False
    assert done(runner, "feeds", "reset", "nightly", "--full")["cursor"] is None
    assert done(runner, "feeds", "reset", "nightly", "--from", "2012-02-09")["cursor"] == "2012-02-09T00:00:00+00:00"
    assert "is deleted" in runner.invoke(args=["feeds", "delete", "nightly"]).output
    assert done(runner, "feeds", "list") == []


def test_lists_say_what_a_feed_waits_for(context: Context, runner):
    add_feed(context, "waiting")
    renamed = add_feed(context, "renamed")
    run_feed(context, renamed)
    rename_field(context, 1, "[bold]Given name")
    run_feed(context, renamed)
    running = add_feed(context, "running")
    export_id = feed_run.start(context, running.id)
    shown = runner.invoke(args=["feeds", "list"]).output
    assert f"running: {export_id}" in shown
    assert "[bold]Given name" in shown
    assert "pause_reason: The columns would change" in runner.invoke(args=["feeds", "show", "renamed"]).output
    assert "none: the next file has every contact" in runner.invoke(args=["feeds", "show", "waiting"]).output


@pytest.mark.parametrize(
    "options, code, text",
    [
        ([*NIGHTLY, "--schedule", "daily"], 2, "Invalid value for schedule: daily"),
        ([*NIGHTLY, "--from", "soon"], 2, "Invalid value for from: soon"),
        ([*NIGHTLY, "--ftp", "http://there"], 2, "Invalid value for --ftp"),
        (["feeds", "add", "x", "--origin", "form", "--fields", "1"], 2, "Missing option '--origin-id'"),
        (["feeds", "add", "x", "--origin", "all", "--fields", "nothing"], 2, "nothing"),
        (["feeds", "add", "../x", "--origin", "all", "--fields", "1"], 2, "Invalid value for name: ../x"),
        (["feeds", "add", "x", "--origin", "all", "--fields", "1", "--team", "a'b"], 2, "Invalid team name"),
        (["feeds", "show", "x"], 1, "Invalid value for name: x: no such feed"),
        (["feeds", "run", "x"], 1, "Invalid value for name: x: no such feed"),
        (["feeds", "reset", "there"], 2, "Either --from DATE or --full expected"),
        (["feeds", "reset", "there", "--full", "--from", "2012-02-09"], 2, "Either --from DATE or --full expected"),
        (["feeds", "reset", "there", "--from", "2099-01-01"], 2, "a time in the past expected"),
        (["feeds", "set", "there", "--password"], 2, "--password is for a feed by FTP"),
        (["feeds", "set", "there", "--fields", "27"], 2, "Invalid contact field id: 27"),
    ],
    ids=str,
)
def test_mistakes_end_with_one_line_and_change_nothing(context: Context, runner, options, code, text):
    feed = add_feed(context, "there")
    ended, line = refused(runner, *options)
    assert (ended, text in line) == (code, True), line
    assert feed_of(context, feed.id) == feed
    assert len(execute(context, "SELECT id FROM feed")) == 1


def test_run_while_another_one_is_under_way_exits_with_3_and_names_it(context: Context, runner):
    export_id = feed_run.start(context, add_feed(context).id)
    code, line = refused(runner, "feeds", "run", "nightly")
    assert (code, f"`flask export show {export_id}`" in line) == (3, True)


def test_run_that_pauses_the_feed_says_why(context: Context, runner):
    feed = add_feed(context)
    run_feed(context, feed)
    rename_field(context, 1, "Given name")
    code, line = refused(runner, "feeds", "run", "nightly")
    assert (code, "The columns would change" in line) == (1, True)
    code, line = refused(runner, "feeds", "run", "nightly")
    assert (code, "See `flask feeds resume nightly`" in line) == (1, True)
    assert done(runner, "feeds", "resume", "nightly")["cursor"] is None


def test_new_password_is_asked_for_and_shown_nowhere(context: Context, runner):
    url = "ftp://user@127.0.0.1:2121/in"
    added = done(runner, *NIGHTLY, "--ftp", url, FTP_PASSWORD="first one")
    assert (added["distribution_method"], added["ftp_host"], added["ftp_dir"]) == ("ftp", "127.0.0.1", "in")
    ended = runner.invoke(args=["feeds", "set", "nightly", "--password"], env={"FTP_PASSWORD": PASSWORD})
    assert (ended.exit_code, PASSWORD in ended.output, "first one" in ended.output) == (0, False, False)
    (row,) = execute(context, "SELECT ftp_secret, settings FROM feed")
    assert context.secrets.decrypt(bytes(row["ftp_secret"])) == PASSWORD
    assert row["settings"]["ftp"]["port"] == 2121


def test_notification_url_is_asked_for_and_can_be_taken_away(context: Context, runner):
    done(runner, *NIGHTLY, "--notify", NOTIFICATION_URL="https://anna:geheim@www.example.com/told")
    (row,) = execute(context, "SELECT notify_secret, settings FROM feed")
    assert row["settings"]["notification_url"] == "https://***@www.example.com/told"
    done(runner, "feeds", "set", "nightly", "--schedule", "0 3 * * *")
    assert execute(context, "SELECT notify_secret FROM feed")[0]["notify_secret"] is not None
    done(runner, "feeds", "set", "nightly", "--no-notify")
    (row,) = execute(context, "SELECT notify_secret, settings FROM feed")
    assert (row["notify_secret"], row["settings"]["notification_url"]) == (None, None)


def test_set_changes_only_what_is_given(context: Context, runner):
    before = done(runner, *NIGHTLY, "--schedule", "0 2 * * *", "--delimiter", ";", "--no-header")
    after = done(runner, "feeds", "set", "nightly", "--language", "de", "--schedule", "none")
    assert {key for key in after if after[key] != before[key]} == {"language", "schedule", "next_run"}


def test_feeds_of_two_teams_need_the_team(context: Context, runner):
    for team in ("sales", "shop"):
        add_feed(context, team=team)
    code, line = refused(runner, "feeds", "show", "nightly")
    assert (code, "teams sales, shop" in line) == (2, True)
    assert done(runner, "feeds", "show", "nightly", "--team", "shop")["team"] == "shop"
    assert [one["team"] for one in done(runner, "feeds", "list", "--team", "sales")] == ["sales"]


def test_retry_of_a_run_asks_for_no_password(context: Context, runner):
    feed = add_feed(context, password=PASSWORD, **to_ftp(free_port()))
    export_id = feed_run.start(context, feed.id)
    attempt(context, export_id)
    cancel.cancel(context, export_id, TESTER)
    assert done(runner, "export", "retry", str(export_id))["status"] == "scheduled"
    with context.database.transaction() as conn:
        assert context.secrets.decrypt(export_store.get(conn, export_id).ftp_secret) == PASSWORD
