"""`flask contacts prune` drops whole months of the change log, blocks nobody, and notes what it dropped."""

import dataclasses
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import contactexport
from contactexport.catalogue import Catalogue
from contactexport.changes import log as change_log
from contactexport.changes import prune
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.exports import status as export_status
from tests.support.exporting import (
    TESTER,
    add_contact,
    change,
    execute,
    ids_in,
    other_session,
    request,
    run,
    settings_for,
)

JANUARY = datetime(2012, 1, 15, tzinfo=UTC)
MARCH = datetime(2012, 3, 15, tzinfo=UTC)


def months(context):
    rows = execute(context, "SELECT relname FROM pg_class WHERE relname ~ '^contact_change_2012_[0-9]+$' ORDER BY 1")
    return [row["relname"] for row in rows]


def logged(context):
    return [row["changed_at"] for row in execute(context, "SELECT changed_at FROM contact_change ORDER BY 1")]


def ids(context):
    return [row["id"] for row in execute(context, "SELECT id FROM contact ORDER BY id")]


def months_to_drop(context):
    with context.contacts.session() as conn:
        return change_log.months_before(conn, FEBRUARY_ENDED)


def two_months(context):
    execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    contact_id = add_contact(context)
    change(context, contact_id, JANUARY)
    change(context, contact_id, MARCH)


def test_prune_drops_months_that_ended_before_the_date(context, runner):
    two_months(context)
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--yes"])
    assert (result.exit_code, result.stdout.splitlines()[:2]) == (
        0,
        ["dropped contact_change_2012_01", "dropped contact_change_2012_02"],
    )
    assert months(context) == ["contact_change_2012_03"]
    assert logged(context)[0] == MARCH


def test_prune_deletes_changes_outside_any_month(context, runner):
    change(context, add_contact(context), datetime(2010, 5, 1, tzinfo=UTC))
    result = runner.invoke(args=["contacts", "prune", "--before", "2011-01-01", "--yes"])
    assert result.stdout == "done, 1 changes outside any month deleted\n"
    assert len(logged(context)) == 1


def test_prune_leaves_a_log_in_use_alone_and_does_not_block_writers(context, runner):
    two_months(context)
    with other_session(context, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--patience", "0", "--yes"])
        add_contact(context)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The change log is in use by an export or a writer: contact_change_2012_01")
    assert len(months(context)) == 3


def test_prune_refuses_an_invalid_date(runner):
    assert runner.invoke(args=["contacts", "prune", "--before", "soon"]).exit_code == 2


FEBRUARY_ENDED = datetime(2012, 3, 1, tzinfo=UTC)
GETCHANGES = "/api/v2/contact/getchanges"
BODY = {"distribution_method": "local", "origin": "all", "contact_fields": [1]}
REFUSED = (
    "Invalid value for time_range: changes before 2012-03-01T00:00:00+00:00 are no longer kept;"
    " may_be_incomplete exports the others"
)


def complete_from(context: Context) -> datetime | None:
    with context.contacts.session() as conn:
        return Catalogue.read(conn).complete_from


def pruned(context: Context) -> None:
    """Three months with changes, of which January and February are dropped."""
    two_months(context)
    change(context, add_contact(context), datetime(2012, 2, 15, tzinfo=UTC))
    list(prune.prune(context, FEBRUARY_ENDED, 10))


def from_day(start: str, **more) -> dict:
    return BODY | {"time_range": [start, "2012-04-02"]} | more


def test_log_that_was_never_pruned_is_complete(api, context: Context):
    assert complete_from(context) is None
    export_id = api.post(GETCHANGES, json=from_day("0001-01-02")).json["data"]["id"]
    run(context, export_id)
    assert api.get(f"/api/v2/export/{export_id}").json["data"]["complete_from"] is None


def test_export_of_pruned_changes_is_refused_with_the_date(api, context: Context):
    assert api.post(GETCHANGES, json=from_day("2012-02-29", language="de")).status_code == 200
    pruned(context)
    refused = api.post(GETCHANGES, json=from_day("2012-02-29"))
    assert (refused.status_code, refused.json["replyCode"], refused.json["replyText"]) == (400, 10001, REFUSED)
    refused = api.post(GETCHANGES, json=from_day("2012-02-29", may_be_incomplete=0))
    assert refused.json["replyText"] == REFUSED
    assert api.post(GETCHANGES, json=from_day("2012-03-01")).status_code == 200


def test_export_that_may_be_incomplete_holds_the_rest_and_says_so(api, context: Context):
    pruned(context)
    export_id = api.post(GETCHANGES, json=from_day("2012-01-01", may_be_incomplete=1)).json["data"]["id"]
    export = run(context, export_id)
    status = api.get(f"/api/v2/export/{export_id}").json["data"]
    assert (status["status"], status["complete_from"]) == ("done", "2012-03-01T00:00:00+00:00")
    assert export.rows == 1
    export_id = api.post(GETCHANGES, json=from_day("2012-03-01", may_be_incomplete=1)).json["data"]["id"]
    assert run(context, export_id).complete_from is None


def test_refusal_shows_the_date_in_the_service_zone(app, api, context: Context):
    pruned(context)
    vienna = dataclasses.replace(context.settings, time_zone=ZoneInfo("Europe/Vienna"))
    app.extensions["contactexport"] = contactexport.make_context(vienna)
    text = api.post(GETCHANGES, json=from_day("2012-02-29")).json["replyText"]
    assert "changes before 2012-03-01T01:00:00+01:00 are no longer kept" in text


def test_export_accepted_before_a_prune_fails_instead_of_being_shorter(context: Context):
    two_months(context)
    settings = settings_for(start=JANUARY, end=MARCH)
    refused, allowed = (
        request(context, settings),
        request(context, dataclasses.replace(settings, may_be_incomplete=True)),
    )
    list(prune.prune(context, FEBRUARY_ENDED, 10))
    ended = run(context, refused)
    assert (ended.status, ended.rows) == ("error", None)
    assert ended.error == REFUSED.replace("2012-03-01", "2012-02-01")  # February was empty
    done = run(context, allowed)
    assert (done.status, done.complete_from) == ("done", datetime(2012, 2, 1, tzinfo=UTC))
    assert export_status.status(context, allowed, TESTER)["complete_from"] == "2012-02-01T00:00:00+00:00"


def test_prune_does_not_drop_a_month_that_an_export_reads(context: Context, monkeypatch):
    two_months(context)
    contact = ids(context)[0]
    export_id = request(context, settings_for(start=JANUARY, end=FEBRUARY_ENDED))
    tried = []

    def read_then(conn, *more):
        catalogue = read(conn, *more)
        tried.append(prune.drop_month(context, months_to_drop(context)[0]))
        return catalogue

    read = Catalogue.read
    monkeypatch.setattr(Catalogue, "read", read_then)
    done = run(context, export_id)
    assert tried == [False]
    assert ids_in(context, done) == [contact]


def test_dropping_empty_months_leaves_the_log_complete(context: Context):
    execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    assert len(list(prune.prune(context, FEBRUARY_ENDED, 10))) == 2
    assert prune.delete_strays(context, FEBRUARY_ENDED) == 0
    assert complete_from(context) is None


def test_deleting_strays_moves_the_complete_from_date(context: Context):
    change(context, add_contact(context), datetime(2010, 5, 1, tzinfo=UTC))
    assert prune.delete_strays(context, datetime(2011, 1, 1, tzinfo=UTC)) == 1
    assert complete_from(context) == datetime(2011, 1, 1, tzinfo=UTC)


def test_complete_from_date_never_goes_back(context: Context):
    pruned(context)
    change(context, add_contact(context), datetime(2010, 5, 1, tzinfo=UTC))
    prune.delete_strays(context, datetime(2011, 1, 1, tzinfo=UTC))
    assert complete_from(context) == FEBRUARY_ENDED


def test_log_stays_complete_when_dropping_a_month_fails(context: Context):
    """Whether the process dies or the log is in use: drop and note happen both or not at all."""
    two_months(context)
    month = months_to_drop(context)[0]
    with context.contacts.transaction() as conn:
        assert change_log.drop_month(conn, month)
        conn.rollback()
    with other_session(context, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        assert not prune.drop_month(context, month)
    assert (complete_from(context), len(months(context))) == (None, 3)


def test_change_committed_just_before_the_drop_counts(context: Context, monkeypatch):
    """Prune looks for changes under the lock, so none arrives between the look and the drop."""
    execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    contact = add_contact(context)
    monkeypatch.setattr(change_log, "MONTHS_WAIT_MILLISECONDS", 30_000)
    with other_session(context, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact_change VALUES (%s, 'form', 123, %s)", (contact, JANUARY))
        commit = threading.Timer(0.5, writer.commit)
        commit.start()
        list(prune.prune(context, FEBRUARY_ENDED, 10))
        commit.join()
    assert complete_from(context) == datetime(2012, 2, 1, tzinfo=UTC)


def test_complete_from_date_is_read_from_the_contacts_database(context: Context):
    pruned(context)
    apart = contactexport.make_context(context.settings)
    apart = type(apart)(**vars(apart) | {"contacts": context.database})
    export = run(apart, request(apart, settings_for(start=JANUARY)))
    assert (export.status, export.error) == ("error", REFUSED)
    apart.database.close()


def test_dry_run_shows_what_would_be_dropped_and_drops_nothing(context: Context, runner):
    two_months(context)
    change(context, add_contact(context), datetime(2010, 5, 1, tzinfo=UTC))
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--dry-run"])
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "contact_change_2012_01: about 1 changes",
            "contact_change_2012_02: about 0 changes",
            "outside any month: about 1 changes",
        ],
    )
    assert (len(months(context)), len(logged(context)), complete_from(context)) == (3, 5, None)


def test_prune_without_terminal_and_without_yes_drops_nothing(context: Context, runner):
    two_months(context)
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01"], input="y\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: There is no terminal to ask on: --yes or --dry-run expected\n"
    assert len(months(context)) == 3


@pytest.mark.parametrize("options", [["--yes"], ["--dry-run"]])
def test_prune_refuses_a_date_in_the_future(context: Context, runner, options):
    result = runner.invoke(args=["contacts", "prune", "--before", "2400-01-01", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for --before: 2400-01-01: a day that is not in the future expected" in result.stderr


@pytest.mark.parametrize(("answer", "exit_code", "left"), [("n", 1, 3), ("y", 0, 1)])
def test_prune_asks_on_a_terminal(context: Context, answer: str, exit_code: int, left: int):
    two_months(context)
    ours, theirs = os.openpty()
    service = LocalService(context.settings.data_dir, 0, {"ENV": "testing", "DATABASE_URL": context.database.url})
    command = [sys.executable, "-m", "flask", "contacts", "prune", "--before", "2012-03-01"]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=service.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asked:
        os.write(ours, f"{answer}\n".encode())
        told, question = asked.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "Drop this?" in question
    assert "contact_change_2012_01: about 1 changes" in told
    assert (asked.returncode, len(months(context))) == (exit_code, left)


MIGRATION = Path(migrate.__file__).parent / "migrations" / "versions" / "0005_whole_windows.sql"
UNDONE = "DROP TABLE contact_log_horizon;ALTER TABLE export DROP COLUMN writers_since, DROP COLUMN complete_from"


def upgraded(context: Context) -> datetime | None:
    """The complete-from date that the upgrade notes for a log that was in use before."""
    execute(context, UNDONE)
    execute(context, MIGRATION.read_text(encoding="utf-8"))
    return execute(context, "SELECT complete_from FROM contact_log_horizon")[0]["complete_from"]


def test_log_that_was_not_pruned_before_the_upgrade_is_complete(context: Context):
    """Its two oldest months are there, though empty: a prune would drop them first."""
    execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    change(context, add_contact(context), MARCH)
    assert upgraded(context) is None


def test_log_pruned_before_the_upgrade_is_complete_from_its_oldest_month(context: Context):
    execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    change(context, add_contact(context), MARCH)
    execute(context, "DROP TABLE contact_change_2012_01, contact_change_2012_02")
    assert upgraded(context) == FEBRUARY_ENDED
