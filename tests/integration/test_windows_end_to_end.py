"""Windows laid end to end, as a caller asks for them over HTTP, hold every committed change exactly once.

WINDOW_SECONDS=300 lets the writers write for so long; WINDOW_SEED repeats a run's choices.
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
from busy_writers import Change, Windows, Writers
from exporting import around_now, backend_with, database_time, execute, make_due, with_wait
from flask import Flask

from contactexport.backend import Backend
from contactexport.db import change_repository
from contactexport.db.connection import Connection
from contactexport.services import find_changes, run_export

SECONDS = float(os.environ.get("WINDOW_SECONDS", "8"))
SEED = int(os.environ.get("WINDOW_SEED", random.randrange(10**6)))
LONG = 60
KINDS = [(True, 30), (False, 30), (True, 0), (False, 0)]
MOMENT = timedelta(microseconds=1)

pytestmark = pytest.mark.timeout(SECONDS + 170)


@dataclass
class Window:
    """[start, end) as the status told it, and the file's lines: marker and last update of each contact."""

    start: datetime
    end: datetime
    lines: dict[int, tuple[str, str]]
    cut: bool  # at the start of a writer that was not waited for any longer
    put_off: bool  # until the writers had ended


@dataclass
class Asked:
    """An export, the end of its window, and when it was asked for."""

    export: int
    end: datetime
    at: datetime
    put_off: bool = False


@dataclass
class Caller:
    """Asks for window after window, each from where the status of the one before says."""

    api: Any
    origin: dict[str, Any]
    next_from: str
    windows: list[Window] = field(default_factory=list)

    def ask(self, backend: Backend, end: datetime) -> Asked | None:
        """Asks for the next window and takes it; returns it if it was put off."""
        start, now = self.next_from, database_time(backend)
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
        run_export.run(backend, export)
        return self._taken(Asked(export, end, now))

    def go_on(self, backend: Backend, asked: Asked | None) -> None:
        """Further attempts at what was put off, until it is done."""
        while asked is not None:
            make_due(backend, asked.export)
            run_export.run(backend, asked.export)
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
    """What was written, and what the callers were told of it."""

    committed: list[Change]
    log: list[dict[str, Any]]
    everything: Caller
    form: Caller
    contacts: dict[int, tuple[str, int]]  # marker and form in the end
    counts: dict[str, int]


def write_and_read(
    backend: Backend, api: Any, seconds: float, kinds: Sequence[tuple[bool, float]], *, slow: bool, patience: float
) -> Outcome:
    """Many write while two callers read window after window; and a last one when all is written.

    Kinds of windows: whether the end lies in the future, and for how many seconds they wait for writers. The writer
    that commits late on purpose does so after `patience` seconds when a window waits for it.
    """
    windows, start, until = Windows(), database_time(backend).isoformat(), time.monotonic() + seconds
    callers = [Caller(api, {"origin": "all"}, start), Caller(api, {"origin": "form", "origin_id": 123}, start)]
    with Writers(backend.database.url, windows, SEED, slow=slow) as writers:
        for ahead, wait in itertools.cycle(kinds):
            for caller in callers:
                with windows.one(patience if wait else LONG):
                    asked = caller.ask(with_wait(backend, wait), end_after(backend, caller.next_from, ahead))
                caller.go_on(backend, asked)
            if time.monotonic() > until and writers.were_late():
                break
            time.sleep(0.05)
    for caller in callers:
        caller.go_on(backend, caller.ask(backend, around_now()["end"]))
    table = execute(backend, "SELECT id, first_name, origin_id FROM contact")
    log = execute(backend, "SELECT contact_id, changed_at FROM contact_change ORDER BY contact_id, changed_at")
    contacts = {row["id"]: (row["first_name"], row["origin_id"]) for row in table}
    return Outcome(writers.committed, log, *callers, contacts, writers.counts)


def end_after(backend: Backend, start: str, ahead: bool) -> datetime:
    now = database_time(backend)
    if ahead:
        return now + timedelta(hours=1)
    return max(now - timedelta(seconds=0.05), datetime.fromisoformat(start) + MOMENT)


def wrongly_logged(outcome: Outcome) -> list[object]:
    """Committed changes that are not logged once, or not with the database's time at their statement, and others."""
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
    """What the windows for all origins lack or have too much, by the log; each with its contact and its window."""
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
    """Contacts that whoever has only the files knows otherwise than the table has them in the end."""
    known = {contact: marker for window in caller.windows for contact, (marker, _) in window.lines.items()}
    there = {
        contact: marker
        for contact, (marker, form) in outcome.contacts.items()
        if caller is outcome.everything or form == 123
    }
    return {contact for contact, marker in there.items() if known.get(contact) != marker}


@pytest.fixture
def many_requests(app: Flask, backend: Backend) -> None:
    app.extensions["contactexport"] = backend_with(backend, requests_per_minute=10**6)


@pytest.mark.usefixtures("many_requests")
def test_every_committed_change_is_in_exactly_one_window(backend: Backend, api: Any):
    outcome = write_and_read(backend, api, SECONDS, KINDS, slow=True, patience=0.5)
    windows = outcome.everything.windows + outcome.form.windows
    cut, put_off = sum(window.cut for window in windows), sum(window.put_off for window in windows)
    told = f"{len(outcome.committed)} changes, {len(windows)} windows, {cut} cut, {put_off} put off"
    print(f"seed {SEED}, {told}, {dict(outcome.counts)}")
    assert wrongly_logged(outcome) == []
    assert wrongly_told(outcome) == []
    assert [differing(outcome, caller) for caller in (outcome.everything, outcome.form)] == [set(), set()]
    assert len(outcome.committed) > 100


def without_wait(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(conn: Connection, start: datetime, end: datetime, *_patience: object, **_whole: bool) -> datetime:
        return max(start, min(end, change_repository.clock(conn)))

    monkeypatch.setattr(find_changes, "settle", settle)


def with_the_time_of_the_transaction(backend: Backend, _monkeypatch: pytest.MonkeyPatch) -> None:
    now = "RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RETURN now(); END'"
    execute(backend, f"CREATE OR REPLACE FUNCTION contact_change_time() {now}")


@pytest.mark.usefixtures("many_requests")
@pytest.mark.parametrize(
    ("broken", "patience", "writer"),
    [(without_wait, LONG, "late commit"), (with_the_time_of_the_transaction, 0.3, "late statement")],
)
def test_changes_that_a_worse_program_misses_are_found(
    backend: Backend, api: Any, monkeypatch: pytest.MonkeyPatch, broken: Any, patience: float, writer: str
):
    """The check above can fail: the writer surely commits after a window what is timed before the window's end."""
    broken(backend, monkeypatch)
    outcome = write_and_read(backend, api, 1, [(True, 30)], slow=False, patience=patience)
    missed = {contact for what, contact, _ in wrongly_told(outcome) if what == "missed"}
    behind = {change.contact for change in outcome.committed if change.marker.startswith(writer)}
    assert missed & behind
