"""Several sessions at once, each with a range of contact ids, that see one snapshot: an export by as many readers.

A thread of each reader waits for Postgres most of the time, and passes rows on in C otherwise; so threads do.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

from contactexport.batch_scheduling import schedule_as_batch
from contactexport.db import changed_contact_repository, shared_snapshot
from contactexport.db.connection import Connection, Database, cancel
from contactexport.db.shared_snapshot import SharedSnapshot
from contactexport.errors import DatabaseUnavailable, SnapshotNotShared

CANCEL_SECONDS = 0.1
WAITING_SECONDS = 0.02

logger = logging.getLogger(__name__)


class Readers:
    """The sessions that read an export: the first one, which has the snapshot, and those that join it for a while."""

    def __init__(self, contacts: Database, first: Connection) -> None:
        self._contacts = contacts
        self.sessions = [first]
        self._snapshot: SharedSnapshot | None = None

    def begin(self, most: int) -> int:
        """Takes the snapshot that so many readers are to see; returns how many can, which is one if it stays alone."""
        self._snapshot = shared_snapshot.begin(self.sessions[0], shared=most > 1)
        changed_contact_repository.prepare_measuring(self.sessions[0])
        return most if self._snapshot else 1

    @contextmanager
    def joined(self, wanted: int) -> Iterator[bool]:
        """Has so many sessions within the block; False, and the first one alone, when that is impossible."""
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
        session = opened.enter_context(self._contacts.kept_session())
        try:
            shared_snapshot.join(session, self._snapshot)
        except SnapshotNotShared:
            session.close()  # it would be kept, and of several servers the next one may be the right one
            raise
        return session

    def cancel(self) -> None:
        """Breaks off what all of them are doing."""
        for session in self.sessions.copy():
            cancel(session)

    def run(self, tasks: Sequence[Callable[[], int]], waiting: Callable[[int], None]) -> Generator[int, None, None]:
        """Runs all tasks at once and yields their results in order, each as soon as it and those before are there.

        While the next one is waited for, `waiting` is told its number, again and again. The first failure ends all of
        them and is raised; so does whatever is raised in this thread meanwhile.
        """
        # As a batch: a Postgres on this machine is not interrupted for every few rows then, and more come at a time.
        with ThreadPoolExecutor(len(tasks), "reader", initializer=schedule_as_batch) as threads:
            running = [threads.submit(task) for task in tasks]
            try:
                for number, task in enumerate(running):
                    while not task.done():
                        waiting(number)
                        wait([task], WAITING_SECONDS)
                        _raise_failure(running)
                    yield task.result()
            finally:
                while wait(running, 0).not_done:
                    self.cancel()  # again and again: one that comes before a query has no effect
                    wait(running, CANCEL_SECONDS)


def _raise_failure(running: Sequence[Future[int]]) -> None:
    for task in running:
        if task.done():
            task.result()
