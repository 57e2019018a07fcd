"""Consecutive windows of registrations hold every created contact exactly once, while many write."""

import csv
import io
import itertools
import os
import random
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from contactexport.changes import log as change_log
from contactexport.changes import window as change_window
from contactexport.context import Context
from tests.support.busy_writers import Windows, Writers
from tests.support.exporting import around_now, database_time, execute, request, run, settings_for, with_wait

SECONDS = float(os.environ.get("WINDOW_SECONDS", "3"))
SEED = int(os.environ.get("WINDOW_SEED", random.randrange(10**6)))
LONG = 60
ORIGINS = [{"origin": "all", "origin_ids": ()}, {"origin_ids": (123, 124)}]

pytestmark = pytest.mark.timeout(SECONDS + 170)

# A contact and the time of its creation, as in the file.
Line = tuple[int, str]


class Caller:
    """Requests window after window, each from the end of the last one."""

    def __init__(self, start: datetime, origin: dict) -> None:
        self.next_from = start
        self.lines: list[Line] = []
        self.windows = 0
        self._origin = origin

    def ask(self, context: Context, end: datetime) -> None:
        window = {"start": self.next_from, "end": end, "contact_fields": (1,), "type": "registrations"}
        export = run(context, request(context, settings_for(**window | self._origin)))
        assert export.status == "done", export.error
        file = (context.settings.storage_dir / export.file_name).read_text(encoding="utf-8")
        self.lines += [(int(contact), moment) for contact, _marker, moment in csv.reader(io.StringIO(file))]
        self.windows += 1
        self.next_from = export.effective_until


def write_and_read(
    context: Context, seconds: float, waits: list[float], patience: float
) -> tuple[list[Caller], Writers]:
    start, until, windows = database_time(context), time.monotonic() + seconds, Windows()
    callers = [Caller(start, origin) for origin in ORIGINS]
    with Writers(context.database.url, windows, SEED, slow=True) as writers:
        for wait in itertools.cycle(waits):
            for caller in callers:
                with windows.one(patience if wait else LONG):
                    caller.ask(with_wait(context, wait), database_time(context) + timedelta(hours=1))
            if time.monotonic() > until and writers.were_late():
                break
            time.sleep(0.05)
    for caller in callers:
        caller.ask(context, around_now()["end"])
    return callers, writers


def created(writers: Writers, context: Context) -> Counter[Line]:
    """Each committed contact with the time of its first change, which only the log knows exactly."""
    first = {row["contact_id"]: row["first"] for row in execute(context, FIRST_CHANGES)}
    committed = {change.contact for change in writers.committed}
    assert first.keys() == committed
    begun = {contact: min(one.begun for one in writers.committed if one.contact == contact) for contact in committed}
    assert [contact for contact in committed if first[contact] < begun[contact]] == []
    return Counter((contact, f"{moment:%Y-%m-%d %H:%M:%S}") for contact, moment in first.items())


FIRST_CHANGES = "SELECT contact_id, min(changed_at) AS first FROM contact_change GROUP BY contact_id"


def test_every_created_contact_is_in_exactly_one_window(context: Context):
    callers, writers = write_and_read(context, SECONDS, [30, 0], patience=0.5)
    expected = created(writers, context)
    print(f"seed {SEED}, {len(expected)} contacts, {[caller.windows for caller in callers]} windows, {writers.counts}")
    assert [Counter(caller.lines) - expected for caller in callers] == [Counter(), Counter()]
    assert [expected - Counter(caller.lines) for caller in callers] == [Counter(), Counter()]
    assert len(writers.committed) > len(expected) > 50


def test_check_finds_contacts_missed_by_windows_that_do_not_wait(context: Context, monkeypatch: pytest.MonkeyPatch):
    """The test above can fail."""
    monkeypatch.setattr(
        change_window, "settled_until", lambda conn, start, end, *_, **__: max(start, min(end, change_log.clock(conn)))
    )
    callers, writers = write_and_read(context, 1, [30], patience=LONG)
    assert any(created(writers, context) - Counter(caller.lines) for caller in callers)
