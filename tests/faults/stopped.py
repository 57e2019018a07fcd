"""Processes of a worker's pool that were stopped at crash points (SIGSTOP), cut off from Postgres, and continued."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from exporting import contact_changed, execute, request, row_of
from invariants import advisory_locks, wait_until_final
from processes import Process
from served import wait_until

from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import ExportSettings


def stop_points(points: Sequence[str]) -> str:
    """For the setting CRASH_POINT: the first attempt of an export stops at the first point, and so on."""
    return ",".join(f"{point}:{attempt}:SIGSTOP" for attempt, point in enumerate(points, start=1))


@dataclass
class Halting:
    """An export whose attempts stand still one after another, each at its point; `host` is the FTP host's folder."""

    backend: Backend
    worker: Process
    host: Path
    settings: ExportSettings
    id: int = 0
    attempts: list[psutil.Process] = field(default_factory=list)

    def next_attempt_stands_still(self) -> None:
        contact_changed(self.backend)  # so that no two attempts write the same file
        before = self.worker.stopped()
        if self.attempts:
            self.wake_workers()
        else:
            self.id = request(self.backend, self.settings)
        wait_until(lambda: len(self.worker.stopped()) > len(before), f"attempt {len(self.attempts) + 1} stands still")
        self.attempts += set(self.worker.stopped()) - set(before)
        assert row_of(self.backend, self.id)["attempt"] == len(self.attempts)
        for deliveries in (False, True):
            with self.backend.database.transaction() as conn:
                found = export_repository.in_turn(conn, deliveries=deliveries, most_running=100, most=1)
            assert found == [], "it has its lock, so it is left alone"

    def cut_off(self) -> None:
        """Ends all sessions, as Postgres does of a machine that is away; a process that stands still learns nothing."""
        execute(
            self.backend,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        wait_until(lambda: advisory_locks(self.backend) == [], "the lock is gone")

    def wake_outdated(self, attempt: int) -> None:
        """Continues an attempt that was taken over, until it has given up."""
        self.wake(attempt)
        given_up = f"attempt given up: id={self.id} attempt={attempt} "
        wait_until(lambda: self.worker.said(given_up), given_up)

    def wake(self, attempt: int) -> None:
        self.attempts[attempt - 1].send_signal(signal.SIGCONT)

    def end(self, attempt: int) -> None:
        """Lets the attempt end that has the lock, or the next one."""
        if attempt <= len(self.attempts):
            self.wake(attempt)
        else:
            self.wake_workers()
        assert wait_until_final(self.backend, self.id)["attempt"] == attempt

    def wake_workers(self) -> None:
        assert self.backend.queue.publish_export()
        assert self.backend.queue.publish_delivery()

    def row(self) -> dict[str, Any]:
        return row_of(self.backend, self.id)

    def delivered(self) -> bytes | None:
        """What its receiver sees."""
        folder = self.host if self.settings.ftp else self.backend.settings.storage_dir
        found = list(folder.rglob(self.row()["file_name"]))
        return found[0].read_bytes() if found else None
