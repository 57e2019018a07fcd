"""`flask contacts prune` drops whole months of the change log, holds nobody up, and is not forgotten."""

import dataclasses
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from exporting import TESTER, add_contact, change, execute, ids_in, other_session, request, run, settings_for

import contactexport
from contactexport.backend import Backend
from contactexport.db import catalogue_repository, change_repository, migrate
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.services import prune_changes, track_export

JANUARY = datetime(2012, 1, 15, tzinfo=UTC)
MARCH = datetime(2012, 3, 15, tzinfo=UTC)


def months(backend):
    rows = execute(backend, "SELECT relname FROM pg_class WHERE relname ~ '^contact_change_2012_[0-9]+$' ORDER BY 1")
    return [row["relname"] for row in rows]


def logged(backend):
    return [row["changed_at"] for row in execute(backend, "SELECT changed_at FROM contact_change ORDER BY 1")]


def ids(backend):
    return [row["id"] for row in execute(backend, "SELECT id FROM contact ORDER BY id")]


def months_to_drop(backend):
    with backend.contacts.session() as conn:
        return change_repository.months_before(conn, FEBRUARY_ENDED)


def two_months(backend):
    execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    contact_id = add_contact(backend)
    change(backend, contact_id, JANUARY)
    change(backend, contact_id, MARCH)


def test_months_that_ended_before_are_dropped_and_the_others_stay(backend, runner):
    two_months(backend)
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--yes"])
    assert (result.exit_code, result.stdout.splitlines()[:2]) == (
        0,
        ["dropped contact_change_2012_01", "dropped contact_change_2012_02"],
    )
    assert months(backend) == ["contact_change_2012_03"]
    assert logged(backend)[0] == MARCH


def test_changes_that_lie_in_no_month_are_deleted(backend, runner):
    change(backend, add_contact(backend), datetime(2010, 5, 1, tzinfo=UTC))
    result = runner.invoke(args=["contacts", "prune", "--before", "2011-01-01", "--yes"])
    assert result.stdout == "done, 1 changes outside any month deleted\n"
    assert len(logged(backend)) == 1


def test_a_log_in_use_is_left_alone_and_writers_are_not_held_up(backend, runner):
    two_months(backend)
    with other_session(backend, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--patience", "0", "--yes"])
        add_contact(backend)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The change log is in use by an export or a writer: contact_change_2012_01")
    assert len(months(backend)) == 3


def test_a_date_that_is_none_is_a_wrong_use(runner):
    assert runner.invoke(args=["contacts", "prune", "--before", "soon"]).exit_code == 2


FEBRUARY_ENDED = datetime(2012, 3, 1, tzinfo=UTC)
GETCHANGES = "/api/v2/contact/getchanges"
BODY = {"distribution_method": "local", "origin": "all", "contact_fields": [1]}
REFUSED = (
    "Invalid value for time_range: changes before 2012-03-01T00:00:00+00:00 are no longer kept;"
    " may_be_incomplete exports the others"
)


def complete_from(backend: Backend) -> datetime | None:
    with backend.contacts.session() as conn:
        return catalogue_repository.read(conn).complete_from


def pruned(backend: Backend) -> None:
    """Months with changes, of which those of January and February are dropped."""
    two_months(backend)
    change(backend, add_contact(backend), datetime(2012, 2, 15, tzinfo=UTC))
    list(prune_changes.prune(backend, FEBRUARY_ENDED, 10))


def from_day(start: str, **more) -> dict:
    return BODY | {"time_range": [start, "2012-04-02"]} | more


def test_a_log_that_was_never_pruned_is_complete_from_any_start(api, backend: Backend):
    assert complete_from(backend) is None
    export_id = api.post(GETCHANGES, json=from_day("0001-01-02")).json["data"]["id"]
    run(backend, export_id)
    assert api.get(f"/api/v2/export/{export_id}").json["data"]["complete_from"] is None


def test_an_export_of_what_was_dropped_is_refused_with_the_moment(api, backend: Backend):
    assert api.post(GETCHANGES, json=from_day("2012-02-29", language="de")).status_code == 200
    pruned(backend)
    refused = api.post(GETCHANGES, json=from_day("2012-02-29"))
    assert (refused.status_code, refused.json["replyCode"], refused.json["replyText"]) == (400, 10001, REFUSED)
    refused = api.post(GETCHANGES, json=from_day("2012-02-29", may_be_incomplete=0))
    assert refused.json["replyText"] == REFUSED
    assert api.post(GETCHANGES, json=from_day("2012-03-01")).status_code == 200


def test_one_that_may_be_incomplete_has_the_others_and_says_so(api, backend: Backend):
    pruned(backend)
    export_id = api.post(GETCHANGES, json=from_day("2012-01-01", may_be_incomplete=1)).json["data"]["id"]
    export = run(backend, export_id)
    status = api.get(f"/api/v2/export/{export_id}").json["data"]
    assert (status["status"], status["complete_from"]) == ("done", "2012-03-01T00:00:00+00:00")
    assert export.rows == 1
    export_id = api.post(GETCHANGES, json=from_day("2012-03-01", may_be_incomplete=1)).json["data"]["id"]
    assert run(backend, export_id).complete_from is None


def test_the_moment_is_told_in_the_zone_of_the_service(app, api, backend: Backend):
    pruned(backend)
    vienna = dataclasses.replace(backend.settings, time_zone=ZoneInfo("Europe/Vienna"))
    app.extensions["contactexport"] = contactexport.make_backend(vienna)
    text = api.post(GETCHANGES, json=from_day("2012-02-29")).json["replyText"]
    assert "changes before 2012-03-01T01:00:00+01:00 are no longer kept" in text


def test_an_export_that_was_accepted_before_and_runs_after_is_no_shorter(backend: Backend):
    two_months(backend)
    settings = settings_for(start=JANUARY, end=MARCH)
    refused, allowed = (
        request(backend, settings),
        request(backend, dataclasses.replace(settings, may_be_incomplete=True)),
    )
    list(prune_changes.prune(backend, FEBRUARY_ENDED, 10))
    ended = run(backend, refused)
    assert (ended.status, ended.rows) == ("error", None)
    assert ended.error == REFUSED.replace("2012-03-01", "2012-02-01")  # February was empty
    done = run(backend, allowed)
    assert (done.status, done.complete_from) == ("done", datetime(2012, 2, 1, tzinfo=UTC))
    assert track_export.status(backend, allowed, TESTER)["complete_from"] == "2012-02-01T00:00:00+00:00"


def test_an_export_that_is_reading_is_not_pruned_under_its_hands(backend: Backend, monkeypatch):
    two_months(backend)
    contact = ids(backend)[0]
    export_id = request(backend, settings_for(start=JANUARY, end=FEBRUARY_ENDED))
    tried = []

    def read_then(conn, *more):
        catalogue = read(conn, *more)
        tried.append(prune_changes._dropped(backend, months_to_drop(backend)[0]))
        return catalogue

    read = catalogue_repository.read
    monkeypatch.setattr(catalogue_repository, "read", read_then)
    done = run(backend, export_id)
    assert tried == [False]
    assert ids_in(backend, done) == [contact]


def test_months_without_changes_take_nothing_away(backend: Backend):
    execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    assert len(list(prune_changes.prune(backend, FEBRUARY_ENDED, 10))) == 2
    assert prune_changes.delete_strays(backend, FEBRUARY_ENDED) == 0
    assert complete_from(backend) is None


def test_changes_that_were_in_no_month_are_remembered_as_well(backend: Backend):
    change(backend, add_contact(backend), datetime(2010, 5, 1, tzinfo=UTC))
    assert prune_changes.delete_strays(backend, datetime(2011, 1, 1, tzinfo=UTC)) == 1
    assert complete_from(backend) == datetime(2011, 1, 1, tzinfo=UTC)


def test_the_moment_never_goes_back(backend: Backend):
    pruned(backend)
    change(backend, add_contact(backend), datetime(2010, 5, 1, tzinfo=UTC))
    prune_changes.delete_strays(backend, datetime(2011, 1, 1, tzinfo=UTC))
    assert complete_from(backend) == FEBRUARY_ENDED


def test_a_month_that_is_not_dropped_is_still_complete(backend: Backend):
    """The process dies, or the log is in use: both or nothing."""
    two_months(backend)
    month = months_to_drop(backend)[0]
    with backend.contacts.transaction() as conn:
        assert change_repository.drop_month(conn, month)
        conn.rollback()
    with other_session(backend, autocommit=False) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM contact_change")
        assert not prune_changes._dropped(backend, month)
    assert (complete_from(backend), len(months(backend))) == (None, 3)


def test_a_change_that_comes_into_a_month_at_the_last_moment_is_remembered(backend: Backend, monkeypatch):
    """It is looked for under the lock: nothing comes between the look and the drop."""
    execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    contact = add_contact(backend)
    monkeypatch.setattr(change_repository, "MONTHS_WAIT_MILLISECONDS", 30_000)
    with other_session(backend, autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO contact_change VALUES (%s, 'form', 123, %s)", (contact, JANUARY))
        commit = threading.Timer(0.5, writer.commit)
        commit.start()
        list(prune_changes.prune(backend, FEBRUARY_ENDED, 10))
        commit.join()
    assert complete_from(backend) == datetime(2012, 2, 1, tzinfo=UTC)


def test_where_the_contacts_are_in_another_database_it_is_remembered_there(backend: Backend):
    pruned(backend)
    apart = contactexport.make_backend(backend.settings)
    apart = type(apart)(**vars(apart) | {"contacts": backend.database})
    export = run(apart, request(apart, settings_for(start=JANUARY)))
    assert (export.status, export.error) == ("error", REFUSED)
    apart.database.close()


def test_a_dry_run_shows_what_would_be_dropped_and_drops_nothing(backend: Backend, runner):
    two_months(backend)
    change(backend, add_contact(backend), datetime(2010, 5, 1, tzinfo=UTC))
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01", "--dry-run"])
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "contact_change_2012_01: about 1 changes",
            "contact_change_2012_02: about 0 changes",
            "outside any month: about 1 changes",
        ],
    )
    assert (len(months(backend)), len(logged(backend)), complete_from(backend)) == (3, 5, None)


def test_without_a_terminal_and_without_yes_nothing_is_dropped(backend: Backend, runner):
    two_months(backend)
    result = runner.invoke(args=["contacts", "prune", "--before", "2012-03-01"], input="y\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: Without a terminal nobody can be asked: --yes or --dry-run expected\n"
    assert len(months(backend)) == 3


@pytest.mark.parametrize("options", [["--yes"], ["--dry-run"]])
def test_a_day_that_has_not_come_is_refused(backend: Backend, runner, options):
    result = runner.invoke(args=["contacts", "prune", "--before", "2400-01-01", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for --before: 2400-01-01: a day that is not in the future expected" in result.stderr


@pytest.mark.parametrize(("answer", "exit_code", "left"), [("n", 1, 3), ("y", 0, 1)])
def test_on_a_terminal_it_is_asked_first(backend: Backend, answer: str, exit_code: int, left: int):
    two_months(backend)
    ours, theirs = os.openpty()
    service = LocalService(backend.settings.data_dir, 0, {"ENV": "testing", "DATABASE_URL": backend.database.url})
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
    assert (asked.returncode, len(months(backend))) == (exit_code, left)


MIGRATION = Path(migrate.__file__).parent / "migrations" / "versions" / "0005_whole_windows.sql"
UNDONE = "DROP TABLE contact_log_horizon;ALTER TABLE export DROP COLUMN writers_since, DROP COLUMN complete_from"


def upgraded(backend: Backend) -> datetime | None:
    """From when on a log is complete that had been in use before the program knew of it."""
    execute(backend, UNDONE)
    execute(backend, MIGRATION.read_text(encoding="utf-8"))
    return complete_from(backend)


def test_a_log_of_which_nothing_was_dropped_before_the_upgrade_is_complete(backend: Backend):
    """It began with two empty months, which are dropped first."""
    execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    change(backend, add_contact(backend), MARCH)
    assert upgraded(backend) is None


def test_a_log_that_was_pruned_before_the_upgrade_is_complete_from_its_oldest_month(backend: Backend):
    execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')")
    change(backend, add_contact(backend), MARCH)
    execute(backend, "DROP TABLE contact_change_2012_01, contact_change_2012_02")
    assert upgraded(backend) == FEBRUARY_ENDED
