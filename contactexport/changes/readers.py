"""Reads one export by several sessions. Each reads a range of contact ids, and all see the same snapshot.

Each session has a thread. Threads are enough: they wait for Postgres most of the time, and C code passes on the rows.
"""

import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg2

from contactexport import log_context
from contactexport.db.connection import Connection, Database, begin_snapshot, cancel
from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, SnapshotNotShared

CANCEL_SECONDS = 0.1
WAITING_SECONDS = 0.02
# The first session keeps its table locks until all sessions are done. A later one must not wait for somebody who waits
# for the first: Postgres does not see this deadlock.
LOCK_WAIT = "5s"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedSnapshot:
    """A snapshot that other sessions can join while the transaction that took it is open."""

    id: str
    server_start: datetime


@dataclass
class Readers:
    """The sessions that read an export: the first one, which takes the snapshot, and those that join it for a while."""

    contacts: Database
    sessions: list[Connection]
    _snapshot: SharedSnapshot | None = None

    def begin(self, most: int) -> int:
        """Locks the tables, takes the snapshot, and returns how many sessions can read: `most`, or only one.

        Only one if `most` is 1, or if the server does not share snapshots.
        """
        first = self.sessions[0]
        begin_snapshot(first)
        # Nobody rewrites the tables until this transaction ends. Before the first query of the snapshot: to an older
        # snapshot a rewritten or truncated table is empty (PostgreSQL manual, Concurrency Control, Caveats).
        queries("change").hold_tables(first)
        if most > 1:
            try:
                self._snapshot = SharedSnapshot(**queries("snapshot").share(first))
            except psycopg2.Error:
                if first.closed:
                    raise
                first.rollback()
                queries("change").hold_tables(first)
        queries("changed_contact").prepare_measuring(first)  # by as many processes as Postgres likes
        return most if self._snapshot else 1

    @contextmanager
    def joined(self, wanted: int) -> Iterator[bool]:
        """Opens sessions until there are `wanted`, for the length of the block.

        Yields False if that is impossible: then the first session is alone.
        """
        with ExitStack() as opened:
            try:
                while len(self.sessions) < wanted:
                    self.sessions.append(self._further_session(opened))
            except (DatabaseUnavailable, SnapshotNotShared) as reason:
                logger.warning("read by one session: %s", reason)
                del self.sessions[1:]
            try:
                yield len(self.sessions) == wanted
            finally:
                del self.sessions[1:]

    def _further_session(self, opened: ExitStack) -> Connection:
        if self._snapshot is None:
            raise SnapshotNotShared("the first session's is not shared")
        session = opened.enter_context(self.contacts.reusable_session())
        try:
            join(session, self._snapshot)
        except SnapshotNotShared:
            session.close()  # not back to the pool: of several servers, the next connection may reach the right one
            raise
        return session

    def cancel(self) -> None:
        """Cancels the query of every session."""
        for session in self.sessions.copy():
            cancel(session)

    def run(self, tasks: Sequence[Callable[[], int]]) -> Generator[tuple[int, int | None], None, None]:
        """Runs all tasks at once and yields their numbers and results in order.

        Each result comes as soon as it and those before it are there. Until then it yields None for it, again and
        again. The first failure cancels all tasks and is raised. So does an exception in this thread.
        """
        with ThreadPoolExecutor(len(tasks), "reader", initializer=_schedule_as_batch) as threads:
            running = [threads.submit(log_context.copied(task)) for task in tasks]
            try:
                for number, task in enumerate(running):
                    while not task.done():
                        yield number, None
                        wait([task], WAITING_SECONDS)
                        for ended in (one for one in running if one.done()):
                            ended.result()  # raises its failure
                    yield number, task.result()
            finally:
                while wait(running, 0).not_done:
                    self.cancel()  # repeated, because a cancel that arrives before the query has no effect
                    wait(running, CANCEL_SECONDS)


def join(conn: Connection, snapshot: SharedSnapshot) -> None:
    """Begins a read-only transaction that sees the same snapshot and locks the same tables.

    Raises SnapshotNotShared when the session is on another server, or when it cannot lock the tables at once.
    """
    begin_snapshot(conn)
    try:
        queries("snapshot").join(conn, id=snapshot.id)
        if queries("snapshot").server_start(conn) != snapshot.server_start:
            raise SnapshotNotShared("the session is on another server")
        queries("snapshot").hold_tables_at_once(conn)
        queries("advisory_lock").limit_lock_wait(conn, milliseconds=LOCK_WAIT)
    except psycopg2.Error as error:
        raise SnapshotNotShared(str(error).strip()) from error


def _schedule_as_batch() -> None:
    """Sets SCHED_BATCH, see sched(7), where the system has it.

    Then a thread that wakes up does not interrupt a Postgres on this machine for every few rows. It gets more rows at
    once.
    """
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
