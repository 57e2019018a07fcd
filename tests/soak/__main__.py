"""`make soak`: requests at a steady rate while parts die at random. Then nothing may be lost, doubled or left over.

The seed decides which faults come when and which requests are sent. The exact timing depends on the machine.
"""

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.soak import checks
from tests.soak import feeds as soak_feeds
from tests.soak.chaos import LATER, Chaos, until_ended
from tests.soak.feeds import Follower
from tests.soak.house import House, running
from tests.soak.load import Load, Walk, ftp_target
from tests.soak.writers import Writer, prepare
from tests.support.churn import Churn
from tests.support.served import wait_until

WRITERS = 3
CONTACTS = 20_000
SECONDS_TO_SETTLE = 180
SECONDS_BETWEEN_NEWS = 30
UNSETTLED = "SELECT id FROM export WHERE due_at IS NOT NULL OR notify_due_at IS NOT NULL"


@dataclass
class Outcome:
    """What was counted, in the order of the table, and what is wrong."""

    counts: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Soak:
    """The callers, the writers, the feeds and the faults of one house."""

    house: House
    load: Load
    walks: Sequence[Walk]
    writers: Sequence[Writer | Churn]
    followers: Sequence[Follower]
    chaos: Chaos
    since: object

    def run(self, seconds: float) -> None:
        """Runs everything until all is finished. What does not finish is noted as wrong."""
        everybody = (*self.writers, self.load, *self.walks, *self.followers)
        for one in everybody:
            one.start()
        try:
            self.chaos.run(seconds)
            for one in (self.load, *self.writers):
                one.end()
            self._settle()
        finally:
            for one in everybody:
                one.end()
        for walk in self.walks:
            if not walk.last_window(SECONDS_TO_SETTLE):
                self.house.wrong.append(f"no last window: {walk.caller.name}")
        for follower in self.followers:
            if not follower.last_file(SECONDS_TO_SETTLE):
                self.house.wrong.append(f"no last file: {follower.name}")
        self._settle()
        self._stop()

    def _settle(self) -> None:
        """Lets time pass quickly until all exports are finished and swept."""
        give_up = time.monotonic() + SECONDS_TO_SETTLE
        while unsettled := self.house.sql(UNSETTLED):
            if time.monotonic() > give_up:
                self.house.wrong.append(f"not finished: {[row['id'] for row in unsettled]}")
                return
            self.house.sql(LATER)
            self.house.revive()
            time.sleep(0.5)
        with contextlib.suppress(AssertionError):  # the checks report what is left then
            wait_until(self._is_swept, "temporary files are swept", 60 if self.house.in_objects else 20)

    def _is_swept(self) -> bool:
        self.house.fetch()
        return not list(self.house.storage.glob("*.part"))

    def _stop(self) -> None:
        stopping = self.house.parts["worker"] + self.house.parts["server"]
        for part in stopping:
            part.process.signal(signal.SIGTERM)
        for part in stopping:
            for _ in until_ended(self.house, part):
                time.sleep(0.1)
            code = part.process.started.returncode
            if code not in (0, -signal.SIGTERM):  # SIGTERM kills a process that is just starting
                self.house.wrong.append(f"{part.name} ended with {code} when told to stop")

    def checked(self) -> Outcome:
        """The result of all checks, and the table of counts."""
        house, since = self.house, self.since
        house.fetch()
        rows = house.sql("SELECT * FROM export ORDER BY id")
        asked = [row for row in rows if row["feed_id"] is None]
        sent = [one for caller in (self.load, *self.walks) for one in caller.caller.sent]
        counts, wrong = checks.tried(
            [
                partial(checks.every_accepted_request_has_one_row, asked, sent),
                partial(checks.the_same_setting_never_ran_twice_at_a_time, rows),
                partial(checks.errors_have_a_reason, house, rows),
                partial(checks.nothing_is_lost_or_left, house, rows),
                partial(checks.every_file_holds_its_window, house, asked),
                partial(checks.every_change_is_logged, house, since),
                *(partial(checks.every_change_was_delivered_once, house, walk, since, rows) for walk in self.walks),
                partial(soak_feeds.mirrors_are_equal, house, self.followers),
                partial(checks.every_notification_came, house, rows),
                partial(checks.statistics, rows),
            ]
        )
        counts["downloads compared"] = sum(walk.downloads for walk in self.walks)
        counts |= {f"fault: {name}": number for name, number in sorted(self.chaos.counts.items())}
        counts |= {f"ended by itself: {name}": number for name, number in sorted(house.ended_themselves.items())}
        return Outcome(counts, house.wrong + wrong)


def soak(
    folder: Path,
    seconds: float,
    seed: int,
    *,
    contacts: int = CONTACTS,
    between_faults: tuple[float, float] = (0.3, 3.5),
    broker_url: str | None = None,
    storage: str | None = None,
    news: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Runs one soak in its own folder, where logs and data stay."""
    with running(folder, contacts, broker_url, storage) as house:
        mine = prepare(house, WRITERS)
        since = house.sql("SELECT clock_timestamp() AS now")[0]["now"]
        local = {"origin": "all", "distribution_method": "local"}
        by_ftp = {"origin": "form", "origin_id": 123, **ftp_target(house, "walk")}
        made = Soak(
            house,
            Load(house, f"{seed} load"),
            [Walk(house, f"{seed} walk {body['origin']}", since, body) for body in (local, by_ftp)],
            [
                *(Writer(house, own, f"{seed} writer {number}") for number, own in enumerate(mine)),
                *soak_feeds.churns(house, seed),
            ],
            soak_feeds.followers(house, seed),
            Chaos(house, f"{seed} chaos", between_faults),
            since,
        )
        with _telling(made, news):
            made.run(seconds)
        return made.checked()


@contextlib.contextmanager
def _telling(going_on: Soak, news: Callable[[str], None]):
    ended = threading.Event()

    def tell() -> None:
        begun = time.monotonic()
        while not ended.wait(SECONDS_BETWEEN_NEWS):
            requests, faults = len(going_on.load.caller.sent), going_on.chaos.counts.total()
            news(f"{time.monotonic() - begun:5.0f} s: {requests} requests, {faults} faults")

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None, help="without one it is random")
    parser.add_argument("--broker", default=None, help="amqp://… or redis://…, for nobody else; without it folders")
    parser.add_argument("--storage", choices=["s3"], default=None, help="files in a SeaweedFS; without it a folder")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    # Not below a private folder of this user: the database's user must be able to enter it.
    folder = Path(tempfile.mkdtemp(prefix="contactexport-soak-"))
    print(f"soak: seed {seed}, {options.minutes:g} minutes, in {folder}", flush=True)
    outcome = soak(
        folder,
        options.minutes * 60,
        seed,
        broker_url=options.broker,
        storage=options.storage,
        news=partial(print, flush=True),
    )
    for name, number in outcome.counts.items():
        print(f"{number:>10,}  {name}")
    for one in outcome.wrong:
        print(f"WRONG: {one}")
    print(f"soak: seed {seed}: " + (f"FAILED, logs and data are kept in {folder}" if outcome.wrong else "all holds"))
    if not outcome.wrong:
        shutil.rmtree(folder)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
