"""Processes of a worker's pool that are stopped at crash points (SIGSTOP), cut off from Postgres, and continued."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from contactexport.context import Context
from contactexport.exports import store as export_store
from contactexport.exports.models import ExportSettings
from contactexport.queue.publisher import DELIVER, RUN_EXPORT
from tests.support.exporting import contact_changed, execute, request, row_of
from tests.support.invariants import advisory_locks, wait_until_final
from tests.support.processes import Process
from tests.support.served import wait_until


def stop_points(points: Sequence[str]) -> str:
    """The value of CRASH_POINT that stops the first attempt of an export at the first point, and so on."""
    return ",".join(f"{point}:{attempt}:SIGSTOP" for attempt, point in enumerate(points, start=1))


@dataclass
class Halting:
    """An export whose attempts stop one after another, each at its point. `host` is the folder of the FTP host."""

    context: Context
    worker: Process
    host: Path
    settings: ExportSettings
    id: int = 0
    attempts: list[psutil.Process] = field(default_factory=list)
    standing: set[psutil.Process] = field(init=False)

    def __post_init__(self) -> None:
        self.standing = set(self.worker.stopped())

    def next_attempt_stands_still(self) -> None:
        contact_changed(self.context)  # so that no two attempts write the same file
        if self.attempts:
            self.wake_workers()
        else:
            self.id = request(self.context, self.settings)
        # It may have begun before: an attempt that gives up wakes a worker for the next one.
        wait_until(lambda: bool(self._newly_standing()), f"attempt {len(self.attempts) + 1} stands still")
        self.attempts += self._newly_standing()
        self.standing.update(self.attempts[-1:])
        assert row_of(self.context, self.id)["attempt"] == len(self.attempts)
        for deliveries in (False, True):
            with self.context.database.transaction() as conn:
                found = export_store.in_turn(conn, deliveries=deliveries, most_running=100, most=1)
            assert found == [], "it has its lock, so it is left alone"

    def cut_off(self) -> None:
        """Ends all sessions, like Postgres after the loss of a machine. A stopped process does not notice."""
        execute(
            self.context,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        wait_until(lambda: advisory_locks(self.context) == [], "the lock is gone")

    def wake_outdated(self, attempt: int) -> None:
        """Continues an attempt that was taken over, and waits until it gives up."""
        self.wake(attempt)
        given_up = f"attempt given up: id={self.id} attempt={attempt} "
        wait_until(lambda: self.worker.said(given_up), given_up)

    def wake(self, attempt: int) -> None:
        contact_changed(self.context)
        self.standing.discard(self.attempts[attempt - 1])
        self.attempts[attempt - 1].send_signal(signal.SIGCONT)

    def _newly_standing(self) -> set[psutil.Process]:
        return set(self.worker.stopped()) - self.standing

    def end(self, attempt: int) -> None:
        """Lets the attempt with the lock end, or the next one."""
        if attempt <= len(self.attempts):
            self.wake(attempt)
        else:
            self.wake_workers()
        assert wait_until_final(self.context, self.id)["attempt"] == attempt

    def wake_workers(self) -> None:
        assert self.context.queue.publish(RUN_EXPORT)
        assert self.context.queue.publish(DELIVER)

    def row(self) -> dict[str, Any]:
        return row_of(self.context, self.id)

    def delivered(self) -> bytes | None:
        """The bytes of the file that its receiver sees."""
        folder = self.host if self.settings.ftp else self.context.settings.storage_dir
        found = list(folder.rglob(self.row()["file_name"]))
        return found[0].read_bytes() if found else None
