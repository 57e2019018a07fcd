"""Consecutive windows, requested over HTTP, hold every committed change exactly once.

WINDOW_SECONDS=300 lets the writers write for so long. WINDOW_SEED repeats the random choices of a run.
"""

import csv
import dataclasses
import io
import itertools
import os
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from contactexport.changes import log as change_log
from contactexport.changes import window as change_window
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.exports import run
from tests.support.busy_writers import Change, Windows, Writers
from tests.support.exporting import around_now, context_with, database_time, execute, make_due, with_wait

SECONDS = float(os.environ.get("WINDOW_SECONDS", "4"))
SEED = int(os.environ.get("WINDOW_SEED", random.randrange(10**6)))
LONG = 60
KINDS = [(True, 30), (False, 30), (True, 0), (False, 0)]
MOMENT = timedelta(microseconds=1)

pytestmark = pytest.mark.timeout(SECONDS + 170)


@dataclass
class Window:
    """[start, end) from the status, and the lines of the file: marker and last update of each contact."""

    start: datetime
    end: datetime
    lines: dict[int, tuple[str, str]]
    cut: bool  # it ends at the start of a writer that took too long
    put_off: bool  # it was postponed until the writers had ended


@dataclass
class Asked:
    """An export, the end of its window, and when it was requested."""

    export: int
    end: datetime
    at: datetime
    put_off: bool = False


@dataclass
class Caller:
    """Requests window after window, each from `next_from` of the last one."""

    api: Any
    origin: dict[str, Any]
    next_from: str
    windows: list[Window] = field(default_factory=list)

    def ask(self, context: Context, end: datetime) -> Asked | None:
        """Requests and takes the next window. Returns it only if it was postponed."""
        start, now = self.next_from, database_time(context)
        export = self._get(
            self.api.post(
                "/api/v2/contact/getchanges",
                json=self.origin
                | {
                    "distribution_method": "local",
                    "time_range": [start, end.isoformat()],
                    "contact_fields": [1],
                    "add_field_names_header": 0,
                },
            )
        )["id"]
        run.run(context, export)
        return self._taken(Asked(export, end, now))

    def go_on(self, context: Context, asked: Asked | None) -> None:
        """Repeats a postponed export until it is done."""
        while asked is not None:
            make_due(context, asked.export)
            run.run(context, asked.export)
            asked = self._taken(dataclasses.replace(asked, put_off=True))

    def _taken(self, asked: Asked) -> Asked | None:
        status = self._get(self.api.get(f"/api/v2/export/{asked.export}"))
        if status["status"] == "in progress":
            return asked
        assert status["status"] == "done", status
        start, self.next_from = self.next_from, status["next_from"]
        with self.api.get(f"/api/v2/export/{asked.export}/data") as answer:
            file = answer.text
        lines = {int(contact): (marker, last) for contact, marker, last in csv.reader(io.StringIO(file))}
        assert len(lines) == len(file.splitlines())
        until = datetime.fromisoformat(self.next_from)
        assert asked.end > asked.at or until == asked.end, "a window of the past was cut"
        cut = until < min(asked.end, asked.at)
        self.windows.append(Window(datetime.fromisoformat(start), until, lines, cut, asked.put_off))
        return None

    def _get(self, answer: Any) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        return answer.json["data"]


@dataclass
class Outcome:
    """What was written, and what the callers received."""

    committed: list[Change]
    log: list[dict[str, Any]]
    everything: Caller
    form: Caller
    contacts: dict[int, tuple[str, int]]  # marker and form in the end
    counts: dict[str, int]


def write_and_read(
    context: Context, api: Any, seconds: float, kinds: Sequence[tuple[bool, float]], *, slow: bool, patience: float
) -> Outcome:
    """Many write while two callers read window after window, and a last one when all is written.

    `kinds` of windows: whether the end lies in the future, and for how many seconds they wait for writers. One writer
    commits late on purpose: `patience` seconds after a window began to wait for it.
    """
    windows, start, until = Windows(), database_time(context).isoformat(), time.monotonic() + seconds
    callers = [Caller(api, {"origin": "all"}, start), Caller(api, {"origin": "form", "origin_id": 123}, start)]
    with Writers(context.database.url, windows, SEED, slow=slow) as writers:
        for ahead, wait in itertools.cycle(kinds):
            for caller in callers:
                with windows.one(patience if wait else LONG):
                    asked = caller.ask(with_wait(context, wait), end_after(context, caller.next_from, ahead))
                caller.go_on(context, asked)
            if time.monotonic() > until and writers.were_late():
                break
            time.sleep(0.05)
    for caller in callers:
        caller.go_on(context, caller.ask(context, around_now()["end"]))
    table = execute(context, "SELECT id, first_name, origin_id FROM contact")
    log = execute(context, "SELECT contact_id, changed_at FROM contact_change ORDER BY contact_id, changed_at")
    contacts = {row["id"]: (row["first_name"], row["origin_id"]) for row in table}
    return Outcome(writers.committed, log, *callers, contacts, writers.counts)


def end_after(context: Context, start: str, ahead: bool) -> datetime:
    now = database_time(context)
    if ahead:
        return now + timedelta(hours=1)
    return max(now - timedelta(seconds=0.05), datetime.fromisoformat(start) + MOMENT)


def wrongly_logged(outcome: Outcome) -> list[object]:
    """Changes that were not committed and logged exactly once, with the database's time during the statement."""
    committed, logged = defaultdict(list), defaultdict(list)
    for change in sorted(outcome.committed, key=lambda one: one.begun):
        committed[change.contact].append(change)
    for row in outcome.log:
        logged[row["contact_id"]].append(row["changed_at"])
    return [
        (change, at)
        for contact in committed.keys() | logged.keys()
        for change, at in itertools.zip_longest(committed[contact], logged[contact])
        if change is None or at is None or not change.begun <= at <= change.ended
    ]


def wrongly_told(outcome: Outcome) -> list[tuple[str, int, datetime]]:
    """Where the windows of all origins differ from the log: what, the contact, the start of the window."""
    wrong = []
    for window in outcome.everything.windows:
        changed = {
            row["contact_id"]: f"{row['changed_at']:%Y-%m-%d %H:%M:%S}"
            for row in outcome.log
            if window.start <= row["changed_at"] < window.end
        }
        told = {contact: last for contact, (_, last) in window.lines.items()}
        both = told.keys() & changed.keys()
        wrong += [("missed", contact, window.start) for contact in changed.keys() - told.keys()]
        wrong += [("told without a change", contact, window.start) for contact in told.keys() - changed.keys()]
        wrong += [("other time", contact, window.start) for contact in both if told[contact] != changed[contact]]
    return wrong


def differing(outcome: Outcome, caller: Caller) -> set[int]:
    """Contacts whose last row in the files differs from the table in the end."""
    known = {contact: marker for window in caller.windows for contact, (marker, _) in window.lines.items()}
    there = {
        contact: marker
        for contact, (marker, form) in outcome.contacts.items()
        if caller is outcome.everything or form == 123
    }
    return {contact for contact, marker in there.items() if known.get(contact) != marker}


@pytest.fixture
def many_requests(app: Flask, context: Context) -> None:
    app.extensions["contactexport"] = context_with(context, requests_per_minute=10**6)


@pytest.mark.usefixtures("many_requests")
def test_every_committed_change_is_in_exactly_one_window(context: Context, api: Any):
    outcome = write_and_read(context, api, SECONDS, KINDS, slow=True, patience=0.5)
    windows = outcome.everything.windows + outcome.form.windows
    cut, put_off = sum(window.cut for window in windows), sum(window.put_off for window in windows)
    told = f"{len(outcome.committed)} changes, {len(windows)} windows, {cut} cut, {put_off} put off"
    print(f"seed {SEED}, {told}, {dict(outcome.counts)}")
    assert wrongly_logged(outcome) == []
    assert wrongly_told(outcome) == []
    assert [differing(outcome, caller) for caller in (outcome.everything, outcome.form)] == [set(), set()]
    assert len(outcome.committed) > 100


def without_wait(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(conn: Connection, start: datetime, end: datetime, *_patience: object, **_whole: bool) -> datetime:
        return max(start, min(end, change_log.clock(conn)))

    monkeypatch.setattr(change_window, "settled_until", settle)


def with_the_time_of_the_transaction(context: Context, _monkeypatch: pytest.MonkeyPatch) -> None:
    now = "RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RETURN now(); END'"
    execute(context, f"CREATE OR REPLACE FUNCTION contact_change_time() {now}")


@pytest.mark.usefixtures("many_requests")
@pytest.mark.parametrize(
    ("broken", "patience", "writer"),
    [(without_wait, LONG, "late commit"), (with_the_time_of_the_transaction, 0.3, "late statement")],
)
def test_check_finds_changes_missed_by_a_broken_program(
    context: Context, api: Any, monkeypatch: pytest.MonkeyPatch, broken: Any, patience: float, writer: str
):
    """The check above can fail: this writer commits after the window a change that is dated before its end."""
    broken(context, monkeypatch)
    outcome = write_and_read(context, api, 1, [(True, 30)], slow=False, patience=patience)
    missed = {contact for what, contact, _ in wrongly_told(outcome) if what == "missed"}
    behind = {change.contact for change in outcome.committed if change.marker.startswith(writer)}
    assert missed & behind
