"""Keeps a few child processes running: starts them, restarts a dead one, stops them all."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

RESTART_SECONDS = 1.0
STOP_SECONDS = 15.0
STANDARD_ERROR = 2

logger = logging.getLogger(__name__)


@dataclass
class Child:
    """One process to keep running. `name` is for the log."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0


@dataclass
class Supervisor:
    """Runs the children with `environment`, each in its own session, so that Ctrl-C reaches only this process.

    Children that are asked to end get `stop_seconds` to do so.
    """

    environment: Mapping[str, str]
    stop_seconds: float = STOP_SECONDS
    children: list[Child] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str, command: Sequence[str]) -> None:
        """Adds a child and starts it."""
        child = Child(name, command)
        self.children.append(child)
        self._spawn(child)

    def listen_for_stop_signals(self) -> None:
        """Makes Ctrl-C, SIGTERM and a closed terminal end `watch`."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stopping.set())

    def watch(self, tend: Callable[[], None] = lambda: None) -> None:
        """Restarts children that end, and calls `tend` now and then. Returns when told to stop."""
        while not self.stopping.wait(0.2):
            self.revive()
            tend()

    def revive(self) -> None:
        """Restarts children that have ended, each at most once a second."""
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                logger.error("%s ended with %s and is restarted", child.name, child.process.returncode)
                _end_orphans(child.process)
                self.stopping.wait(max(0.0, child.started + RESTART_SECONDS - time.monotonic()))
                if not self.stopping.is_set():
                    self._spawn(child)

    def stop(self) -> None:
        """Asks every child to end, in reverse order of start. Kills those that do not end in time."""
        running = {child.name: child.process for child in reversed(self.children) if child.process is not None}
        for process in running.values():
            process.terminate()
        give_up = time.monotonic() + self.stop_seconds
        for name, process in running.items():
            try:
                process.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("%s has not ended within %d seconds and is killed", name, self.stop_seconds)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            _end_orphans(process)

    def _spawn(self, child: Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(
            child.command,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=STANDARD_ERROR,  # standard output is for the lines of this process only
            start_new_session=True,
        )


def _end_orphans(ended: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the session of a killed process: it would hold the port, or a lock."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(ended.pid, signal.SIGKILL)
