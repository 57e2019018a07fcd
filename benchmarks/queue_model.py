"""A model of the queue: users ask for exports, processes write files, others deliver them. No database, no clock.

Which export is next is the rule of `exports_in_turn` in contactexport/db/sql/export.sql: round robin over users, of one
user the smallest first, and what has waited for long before that. Writers share the cores of the machine. A delivery
waits for its host and takes no core.
"""

import bisect
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import simpy
from simpy.events import ProcessGenerator

PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Ask:
    """An export of so many rows, for which a user asks at a time in seconds. `host`: where the file is sent."""

    at: float
    user: str
    rows: int
    host: str | None = None


@dataclass(frozen=True)
class Costs:
    """What exports take: those of `rows[i]` rows take `seconds[k - 1][i]` while k are being written.

    Between these numbers of rows, and above them, time is on a straight line. `seconds` ends with as many as there are
    cores. More at a time share them. With several `machines` of that kind each has an equal part. `pickup`: seconds
    until an idle process takes an export. `delivery` and `delivery_per_row`: seconds of an upload.
    """

    rows: Sequence[int]
    seconds: Sequence[Sequence[float]]
    pickup: float = 0.0
    delivery: float = 1.0
    delivery_per_row: float = 0.0
    machines: int = 1

    def of(self, rows: int, at_once: int) -> float:
        """The seconds that an export takes while so many are being written."""
        at_once = math.ceil(at_once / self.machines)
        measured = min(at_once, len(self.seconds))
        upper = min(max(bisect.bisect_left(self.rows, rows), 1), len(self.rows) - 1)
        (low, high), times = self.rows[upper - 1 : upper + 1], self.seconds[measured - 1]
        slope = (times[upper] - times[upper - 1]) / (high - low)
        return max(times[upper - 1] + (rows - low) * slope, 0.0) * at_once / measured


@dataclass
class Job:
    """An export in the model. `started` and `ended` are those of the file, `delivered` is that of the upload."""

    number: int
    ask: Ask
    due: float = 0.0
    started: float | None = None
    ended: float | None = None
    delivered: float | None = None

    @property
    def waited(self) -> float:
        """Seconds from the request to the start. Raises ValueError before it has started."""
        if self.started is None:
            raise ValueError(f"export {self.number} has not started")
        return self.started - self.ask.at


@dataclass
class Queue:
    """The exports that wait for one kind of work, and those that have it done now."""

    most_running: int
    by_host: bool
    waiting: list[Job] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)
    served: dict[str, float] = field(default_factory=dict)

    def take(self, now: float) -> Job | None:
        """The export whose turn it is, which then runs. None: there is none, or the limits hold back all of them."""
        chosen = min(self.in_turn(now), key=lambda found: found[0], default=None)
        if chosen is None:
            return None
        job = chosen[1]
        self.waiting.remove(job)
        self.running.append(job)
        self.served[job.ask.user] = now
        return job

    def in_turn(self, now: float) -> list[tuple[tuple[int, float, int], Job]]:
        """Those that may begin now. The first values of each say whose turn is before."""
        of_user = _Places(self.running, lambda job: job.ask.user)
        of_host = _Places(self.running if self.by_host else (), lambda job: job.ask.host)
        found = []
        for job in sorted(self.waiting, key=lambda job: self._order(job, now)):
            place, host_place = of_user.next(job), of_host.next(job)
            if place <= self.most_running and (not self.by_host or host_place <= self.most_running):
                found.append(((place, self.served.get(job.ask.user, -1.0), job.number), job))
        return found

    def _order(self, job: Job, now: float) -> tuple[float, int, int]:
        late = job.due if now - job.due > PATIENCE_SECONDS else float("inf")
        return late, job.ask.rows, job.number


class _Places:
    """Numbers the exports of each user, or for each host, behind those that run."""

    def __init__(self, running: Sequence[Job], key: Callable[[Job], str | None]) -> None:
        self._key = key
        self._last: dict[str | None, int] = {}
        for job in running:
            self.next(job)

    def next(self, job: Job) -> int:
        key = self._key(job)
        self._last[key] = self._last.get(key, 0) + 1
        return self._last[key]


class Machine:
    """Processes that write and processes that deliver, and what they have done."""

    def __init__(self, costs: Costs, writers: int, deliverers: int = 0, running_per_user: int | None = None) -> None:
        self.env = simpy.Environment()
        self.done: list[Job] = []
        self._costs = costs
        self._writes = Queue(running_per_user or max(1, writers - 1), by_host=False)
        self._uploads = Queue(running_per_user or max(1, deliverers), by_host=True)
        self._idle_writers, self._idle_deliverers = writers, deliverers
        self._writing: set[simpy.Process] = set()

    def run(self, asks: Sequence[Ask]) -> list[Job]:
        """All exports, in the order of their ends."""
        self.env.process(self._ask(sorted(asks, key=lambda ask: ask.at)))
        self.env.run()
        return self.done

    def _ask(self, asks: Sequence[Ask]) -> ProcessGenerator:
        for number, ask in zip(count(1), asks):
            yield self.env.timeout(ask.at - self.env.now)
            self._writes.waiting.append(Job(number, ask, due=ask.at))
            self._start_writers(self._costs.pickup)

    def _start_writers(self, pickup: float = 0.0) -> None:
        while self._idle_writers and (job := self._writes.take(self.env.now)):
            self._idle_writers -= 1
            self.env.process(self._write(job, pickup))

    def _start_deliverers(self) -> None:
        while self._idle_deliverers and (job := self._uploads.take(self.env.now)):
            self._idle_deliverers -= 1
            self.env.process(self._deliver(job))

    def _write(self, job: Job, pickup: float) -> ProcessGenerator:
        """Its speed changes whenever another one starts or ends."""
        yield self.env.timeout(pickup)
        job.started = self.env.now
        me = self.env.active_process
        assert me is not None  # noqa: S101 - it is the one of this generator
        self._writing.add(me)
        self._interrupt_others(me)
        left = 1.0
        while left > 1e-9:
            seconds, began = self._costs.of(job.ask.rows, len(self._writing)), self.env.now
            try:
                yield self.env.timeout(left * seconds)
                left = 0.0
            except simpy.Interrupt:
                left -= (self.env.now - began) / seconds
        self._writing.remove(me)
        job.ended = self.env.now
        self._interrupt_others(me)
        self._end_writing(job)

    def _interrupt_others(self, me: simpy.Process) -> None:
        for process in self._writing - {me}:
            process.interrupt()

    def _end_writing(self, job: Job) -> None:
        self._writes.running.remove(job)
        self._idle_writers += 1
        if job.ask.host is None:
            self.done.append(job)
        else:
            job.due = self.env.now
            self._uploads.waiting.append(job)
            self._start_deliverers()
        self._start_writers()

    def _deliver(self, job: Job) -> ProcessGenerator:
        yield self.env.timeout(self._costs.delivery + job.ask.rows * self._costs.delivery_per_row)
        job.delivered = self.env.now
        self._uploads.running.remove(job)
        self._idle_deliverers += 1
        self.done.append(job)
        self._start_deliverers()


def asks(
    number: int, a_second: float, shares: Mapping[str, float], rows: Callable[[random.Random], int], seed: int
) -> list[Ask]:
    """So many exports at random times, so many a second on average. `shares`: how often each user asks."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    at, made = 0.0, []
    for _ in range(number):
        at += chance.expovariate(a_second)
        user = chance.choices(list(shares), list(shares.values()))[0]
        made.append(Ask(at, user, rows(chance)))
    return made
