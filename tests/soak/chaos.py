"""The faults of a soak: at random, some of them at the same time.

A fault is a generator. It does something, yields the seconds until its next step, and finally restores everything.
It raises NothingToHit if its target does not exist.
"""

import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import psutil
import psycopg2
import requests

from contactexport import crash_points
from contactexport.errors import DatabaseUnavailable
from contactexport.feeds import store as feed_store
from tests.soak.house import House, NothingToHit, Part

LONGEST_STOP_SECONDS = 90
WORKER_POINTS = (
    "export claimed", "rows half written", "file written", "leftover found", "file may appear", "file named",
    "marked ready", "upload begun", "file uploaded", "rename begun", "upload renamed", "file delivered",
    "manifest delivered", "marked done",
)  # fmt: skip
SERVER_POINTS = ("export asked for", "export accepted", "feed started")
CRASH_POINT = crash_points.VARIABLE.removeprefix("CONTACTEXPORT_")

# As if time had passed: everything that is postponed becomes due.
LATER = """
UPDATE export SET due_at = least(due_at, clock_timestamp()) WHERE due_at IS NOT NULL;
UPDATE export SET notify_due_at = clock_timestamp() WHERE notify_due_at > clock_timestamp();
"""
FEEDS_LATER = "UPDATE feed SET due_at = clock_timestamp() WHERE due_at > clock_timestamp()"
OUR_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name IN ('contactexport', 'soak writer', 'churn')"
LOCK_HOLDERS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
RUNNING_FEEDS = "SELECT feed_id FROM export WHERE finished_at IS NULL AND feed_id IS NOT NULL"
UNFINISHED = "SELECT id FROM export WHERE due_at IS NOT NULL AND created_by = 'load'"

Fault = Iterator[float]


def pool_process_killed(house: House, chance: random.Random) -> Fault:
    with house.taken("worker", chance) as worker:
        chance.choice(worker.children()).kill()
        yield 0


def worker_killed(house: House, chance: random.Random) -> Fault:
    with house.taken("worker", chance) as worker:
        worker.kill()
        yield chance.uniform(0, 3)
        worker.start()


def worker_told_to_stop(house: House, chance: random.Random) -> Fault:
    with house.taken("worker", chance) as worker:
        if chance.random() < 0.3:
            worker.signal_everyone(signal.SIGTERM)
        else:
            worker.process.signal(chance.choice([signal.SIGTERM, signal.SIGQUIT]))
        yield from until_ended(house, worker)
        worker.start()


def worker_paused(house: House, chance: random.Random) -> Fault:
    with house.taken("worker", chance) as worker:
        worker.signal_everyone(signal.SIGSTOP)
        yield chance.uniform(1, 6)
        worker.signal_everyone(signal.SIGCONT)


def worker_thought_dead(house: House, chance: random.Random) -> Fault:
    """Stops a worker and ends its sessions. Another worker takes over, then the first one wakes up."""
    with house.taken("worker", chance) as worker:
        for child in worker.children():
            child.suspend()
        _end_sessions(house, LOCK_HOLDERS)
        yield chance.uniform(1, 5)
        worker.signal_everyone(signal.SIGCONT)


def worker_dies_at_a_point(house: House, chance: random.Random) -> Fault:
    point = chance.choice(WORKER_POINTS)
    with house.taken("worker", chance) as worker:
        worker.kill()
        worker.start(**{CRASH_POINT: f"{point}:1:SIGKILL"})
        yield from until_working(worker)
        yield chance.uniform(1, 5)
        worker.signal_everyone(signal.SIGTERM)
        yield from until_ended(house, worker)
        worker.start()


def worker_stops_at_a_point(house: House, chance: random.Random) -> Fault:
    """Stops a worker at a crash point. It wakes up when another worker has its export."""
    point = chance.choice(WORKER_POINTS)
    with house.taken("worker", chance) as worker:
        worker.kill()
        worker.start(**{CRASH_POINT: f"{point}:1:SIGSTOP"})
        yield from until_working(worker)
        yield chance.uniform(1, 3)
        _end_sessions(house, LOCK_HOLDERS)
        yield chance.uniform(1, 4)
        worker.signal_everyone(signal.SIGTERM)
        yield from until_ended(house, worker, awake=True)
        worker.start()


def server_process_killed(house: House, chance: random.Random) -> Fault:
    with house.taken("server", chance) as server:
        chance.choice(server.children()).kill()
        yield 0


def server_killed(house: House, chance: random.Random) -> Fault:
    with house.taken("server", chance) as server:
        server.kill()
        yield chance.uniform(0, 2)
        server.start()


def server_told_to_stop(house: House, chance: random.Random) -> Fault:
    with house.taken("server", chance) as server:
        server.process.signal(signal.SIGTERM)
        yield from until_ended(house, server)
        server.start()


def server_paused(house: House, chance: random.Random) -> Fault:
    with house.taken("server", chance) as server:
        server.signal_everyone(signal.SIGSTOP)
        yield chance.choice([1, 4, 12])
        server.signal_everyone(signal.SIGCONT)


def server_dies_at_a_point(house: House, chance: random.Random) -> Fault:
    point = chance.choice(SERVER_POINTS)
    with house.taken("server", chance) as server:
        server.kill()
        server.start(**{CRASH_POINT: f"{point}:0:SIGKILL"})
        yield from until_working(server)
        yield chance.uniform(1, 4)
        server.kill()
        server.start()


def sessions_ended(house: House, chance: random.Random) -> Fault:
    _end_sessions(house, OUR_SESSIONS, chance.randint(1, 20))
    yield 0


def session_killed(house: House, chance: random.Random) -> Fault:
    """Kills a Postgres process by SIGKILL. Postgres ends all sessions and recovers."""
    sessions = house.sql(OUR_SESSIONS)
    if not sessions:
        raise NothingToHit
    psutil.Process(chance.choice(sessions)["pid"]).kill()
    yield 0


def postgres_restarted(house: House, chance: random.Random) -> Fault:
    house.postgres.restart("fast")
    yield 0


def postgres_crashed(house: House, chance: random.Random) -> Fault:
    house.postgres.restart("immediate")
    yield 0


def postgres_silent(house: House, chance: random.Random) -> Fault:
    stopped = house.postgres.processes()
    for one in stopped:
        with contextlib.suppress(psutil.Error):
            one.suspend()
    time.sleep(chance.uniform(0.5, 6))  # no other fault may run: it would wait for Postgres
    for one in stopped:
        with contextlib.suppress(psutil.Error):
            one.resume()
    yield 0


def ftp_host_killed(house: House, chance: random.Random) -> Fault:
    with house.taken("ftp host", chance) as host:
        host.kill()
        yield chance.uniform(0, 5)
        host.start()


def ftp_host_paused(house: House, chance: random.Random) -> Fault:
    with house.taken("ftp host", chance) as host:
        host.signal_everyone(signal.SIGSTOP)
        yield chance.uniform(1, 8)
        host.signal_everyone(signal.SIGCONT)


def messages_lost(house: House, chance: random.Random) -> Fault:
    for message in house.messages.glob("*.msg"):
        message.unlink(missing_ok=True)
    yield 0


def broker_folders_away(house: House, chance: random.Random) -> Fault:
    """Moves the folders away. A file takes their place, so no process creates new ones."""
    broker = house.messages.parent
    aside = broker.with_name("broker.away")
    if aside.exists() or not broker.exists():
        raise NothingToHit
    broker.rename(aside)
    with contextlib.suppress(OSError):  # another process was faster and has created new folders
        broker.touch(exist_ok=False)
    yield chance.uniform(1, 5)
    if broker.is_dir():
        subprocess.run(["rm", "-r", str(broker)], check=True)
    else:
        broker.unlink()
    aside.rename(broker)


def broker_cut_off(house: House, chance: random.Random) -> Fault:
    assert house.line is not None
    house.line.down()
    yield chance.choice([0, 1, 6])
    house.line.up()


def broker_silent(house: House, chance: random.Random) -> Fault:
    assert house.line is not None
    house.line.silent()
    yield chance.uniform(1, 6)
    house.line.up()


def export_cancelled(house: House, chance: random.Random) -> Fault:
    found = house.sql(UNFINISHED)
    if not found:
        raise NothingToHit
    chosen = chance.choice(found)["id"]
    house.cancelled.add(chosen)
    headers = {"Authorization": f"Bearer {house.chaos_token}"}
    with contextlib.suppress(requests.RequestException):
        requests.delete(f"{chance.choice(house.urls)}/api/v2/export/{chosen}", headers=headers, timeout=3)
    yield 0


def feed_run_cancelled(house: House, chance: random.Random) -> Fault:
    """Unlike a cancel of the API, which may come too late and then deletes a delivered file that a mirror needs."""
    found = house.sql(RUNNING_FEEDS)
    if not found:
        raise NothingToHit
    with contextlib.suppress(DatabaseUnavailable), house.context.database.transaction() as conn:
        feed = feed_store.locked(conn, chance.choice(found)["feed_id"])
        assert feed is not None
        feed_store.end_run(conn, feed)
    yield 0


def time_passed(house: House, chance: random.Random) -> Fault:
    house.sql(LATER)
    house.sql(FEEDS_LATER)
    yield 0


def power_cut(house: House, chance: random.Random) -> Fault:
    """Everything dies at the same moment."""
    parts = house.all_parts()
    if any(part.taken for part in parts):
        raise NothingToHit
    for part in parts:
        part.taken = True
        part.end()
    house.postgres.restart("immediate")
    yield chance.uniform(0, 2)
    for part in parts:
        part.start()
        part.taken = False


def _end_sessions(house: House, chosen: str, most: int = 1000) -> None:
    """Ends some of the sessions that the query finds."""
    house.sql(
        f"SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM ({chosen}) AS a ORDER BY random() LIMIT {most}) AS b"
    )


def until_ended(house: House, part: Part, *, awake: bool = False) -> Fault:
    """Waits until the part has ended. `awake`: wakes up processes that stop themselves again."""
    give_up = time.monotonic() + LONGEST_STOP_SECONDS
    while part.runs:
        if awake:
            part.signal_everyone(signal.SIGCONT)
        if time.monotonic() > give_up:
            house.wrong.append(f"{part.name} was told to stop and has not ended in {LONGEST_STOP_SECONDS} s")
            part.end()
        yield 0.1


def until_working(part: Part) -> Fault:
    give_up = time.monotonic() + LONGEST_STOP_SECONDS
    while not part.works and time.monotonic() < give_up:
        yield 0.1


# The relative frequency of each fault.
FAULTS: dict[Callable[[House, random.Random], Fault], int] = {
    pool_process_killed: 4,
    worker_killed: 3,
    worker_told_to_stop: 3,
    worker_paused: 2,
    worker_thought_dead: 3,
    worker_dies_at_a_point: 4,
    worker_stops_at_a_point: 2,
    server_process_killed: 3,
    server_killed: 2,
    server_told_to_stop: 2,
    server_paused: 1,
    server_dies_at_a_point: 2,
    sessions_ended: 4,
    session_killed: 1,
    postgres_restarted: 1,
    postgres_crashed: 1,
    postgres_silent: 1,
    ftp_host_killed: 3,
    ftp_host_paused: 2,
    export_cancelled: 6,
    feed_run_cancelled: 4,
    time_passed: 10,
    power_cut: 1,
}
WITH_FOLDERS = {messages_lost: 3, broker_folders_away: 3}
WITH_A_LINE = {broker_cut_off: 4, broker_silent: 3}


class Chaos:
    """Begins one fault after the other, at times and in an order that the seed decides.

    `between` is the shortest and the longest time between two of them in seconds.
    """

    def __init__(self, house: House, seed: str, between: tuple[float, float]) -> None:
        self.counts: Counter[str] = Counter()
        self._house = house
        self._chance = random.Random(seed)
        self._between = between
        self._faults = FAULTS | (WITH_A_LINE if house.line else WITH_FOLDERS)
        self._going_on: list[tuple[float, Fault]] = []
        self._log = house.folder / "faults.log"

    def run(self, seconds: float) -> None:
        """Returns when all faults are over."""
        begun = following = time.monotonic()
        while time.monotonic() < begun + seconds:
            if time.monotonic() >= following:
                self._begin()
                following = time.monotonic() + self._chance.uniform(*self._between)
            self._go_on()
        while self._going_on:
            self._go_on()

    def _begin(self) -> None:
        kind: Sequence[Callable[[House, random.Random], Fault]] = self._chance.choices(
            list(self._faults), weights=list(self._faults.values())
        )
        fault = kind[0](self._house, self._chance)
        if self._step(fault):
            name = kind[0].__name__.replace("_", " ")
            self.counts[name] += 1
            with self._log.open("a") as log:
                log.write(f"{datetime.now(UTC):%F %T} {name}\n")

    def _go_on(self) -> None:
        time.sleep(0.03)
        self._house.revive()
        waiting, self._going_on = self._going_on, []
        for due, fault in waiting:
            if time.monotonic() < due:
                self._going_on.append((due, fault))
            else:
                self._step(fault)

    def _step(self, fault: Fault) -> bool:
        """Does the next step of a fault. False if its target does not exist."""
        try:
            self._going_on.append((time.monotonic() + next(fault), fault))
        except StopIteration:
            pass
        except (NothingToHit, psutil.Error, psycopg2.Error):
            return False
        return True
