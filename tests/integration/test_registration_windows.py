"""Windows of registrations laid end to end, while many write, hold every created contact exactly once."""

import csv
import io
import itertools
import os
import random
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest
from busy_writers import Windows, Writers
from exporting import around_now, database_time, execute, request, run, settings_for, with_wait

from contactexport.backend import Backend
from contactexport.db import change_repository
from contactexport.services import find_changes

SECONDS = float(os.environ.get("WINDOW_SECONDS", "6"))
SEED = int(os.environ.get("WINDOW_SEED", random.randrange(10**6)))
LONG = 60
ORIGINS = [{"origin": "all", "origin_ids": ()}, {"origin_ids": (123, 124)}]

pytestmark = pytest.mark.timeout(SECONDS + 170)

# Contact and moment of its creation, as a file tells it.
Line = tuple[int, str]


class Caller:
    """Asks for window after window, each from where the one before has ended."""

    def __init__(self, start: datetime, origin: dict) -> None:
        self.next_from = start
        self.lines: list[Line] = []
        self.windows = 0
        self._origin = origin

    def ask(self, backend: Backend, end: datetime) -> None:
        window = {"start": self.next_from, "end": end, "contact_fields": (1,), "type": "registrations"}
        export = run(backend, request(backend, settings_for(**window | self._origin)))
        assert export.status == "done", export.error
        file = (backend.settings.storage_dir / export.file_name).read_text(encoding="utf-8")
        self.lines += [(int(contact), moment) for contact, _marker, moment in csv.reader(io.StringIO(file))]
        self.windows += 1
        self.next_from = export.effective_until


def write_and_read(
    backend: Backend, seconds: float, waits: list[float], patience: float
) -> tuple[list[Caller], Writers]:
    start, until, windows = database_time(backend), time.monotonic() + seconds, Windows()
    callers = [Caller(start, origin) for origin in ORIGINS]
    with Writers(backend.database.url, windows, SEED, slow=True) as writers:
        for wait in itertools.cycle(waits):
            for caller in callers:
                with windows.one(patience if wait else LONG):
                    caller.ask(with_wait(backend, wait), database_time(backend) + timedelta(hours=1))
            if time.monotonic() > until and writers.were_late():
                break
            time.sleep(0.05)
    for caller in callers:
        caller.ask(backend, around_now()["end"])
    return callers, writers


def created(writers: Writers, backend: Backend) -> Counter[Line]:
    """Each contact that was committed with the moment of its first change, which nobody but the log knows exactly."""
    first = {row["contact_id"]: row["first"] for row in execute(backend, FIRST_CHANGES)}
    committed = {change.contact for change in writers.committed}
    assert first.keys() == committed
    begun = {contact: min(one.begun for one in writers.committed if one.contact == contact) for contact in committed}
    assert [contact for contact in committed if first[contact] < begun[contact]] == []
    return Counter((contact, f"{moment:%Y-%m-%d %H:%M:%S}") for contact, moment in first.items())


FIRST_CHANGES = "SELECT contact_id, min(changed_at) AS first FROM contact_change GROUP BY contact_id"


def test_every_created_contact_is_in_exactly_one_window(backend: Backend):
    callers, writers = write_and_read(backend, SECONDS, [30, 0], patience=0.5)
    expected = created(writers, backend)
    print(f"seed {SEED}, {len(expected)} contacts, {[caller.windows for caller in callers]} windows, {writers.counts}")
    assert [Counter(caller.lines) - expected for caller in callers] == [Counter(), Counter()]
    assert [expected - Counter(caller.lines) for caller in callers] == [Counter(), Counter()]
    assert len(writers.committed) > len(expected) > 50


def test_a_window_that_waits_for_nobody_is_found_to_miss_some(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    """The test above can fail."""
    monkeypatch.setattr(
        find_changes, "settle", lambda conn, start, end, *_, **__: max(start, min(end, change_repository.clock(conn)))
    )
    callers, writers = write_and_read(backend, 1, [30], patience=LONG)
    assert any(created(writers, backend) - Counter(caller.lines) for caller in callers)
