"""Keeps a few child processes running: starts them, starts a dead one again, stops them all."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESTART_SECONDS = 1.0
STOP_SECONDS = 15.0
STANDARD_ERROR = 2

logger = logging.getLogger(__name__)


@dataclass
class Child:
    """One process to keep running; `name` is for the log."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0


@dataclass
class Supervisor:
    """Runs the children in `folder` with `environment`, each in a session of its own: Ctrl-C reaches only us.

    `stop_seconds` is what they get to end when asked to.
    """

    folder: Path
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
        """Ctrl-C, SIGTERM and a closed terminal end `watch`."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stopping.set())

    def watch(self, tend: Callable[[], None] = lambda: None) -> None:
        """Returns when told to stop; starts children again that have ended before, and calls `tend` now and then."""
        while not self.stopping.wait(0.2):
            self.revive()
            tend()

    def revive(self) -> None:
        """Starts again what has ended, at most once a second each."""
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                logger.error("%s ended with %s and is started again", child.name, child.process.returncode)
                _end_orphans(child.process)
                self.stopping.wait(max(0.0, child.started + RESTART_SECONDS - time.monotonic()))
                if not self.stopping.is_set():
                    self._spawn(child)

    def stop(self) -> None:
        """Asks every child to end, last started first asked, and kills what has not after some seconds."""
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
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=STANDARD_ERROR,  # our own standard output says only what we say
            start_new_session=True,
        )


def _end_orphans(ended: subprocess.Popen[bytes]) -> None:
    """Kills what a killed process has left of its session: it would hold the port, or a lock."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(ended.pid, signal.SIGKILL)
