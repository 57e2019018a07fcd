"""The program as an operator installs it: a folder with its code, an environment, processes. Also an older version."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contactexport.settings import PREFIX
from tests.support.processes import Process
from tests.support.served import PROJECT

# The tree that was released as 0.1.0, before its modules were renamed.
FROZEN = "76554f0946868f64b7cbeb90c1ae362bdacfa78b"


def frozen_tree(folder: Path) -> Path:
    """Writes the files of 0.1.0 into a folder. Skips the test if this clone does not have them."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    archived = subprocess.run([git, "archive", FROZEN], cwd=PROJECT, capture_output=True, check=False)
    if archived.returncode:
        pytest.skip(f"this clone does not have the commit {FROZEN[:12]} of 0.1.0")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@dataclass
class Installation:
    """The program in a folder, with the settings of one machine. `settings` have their names without the prefix.

    `runner` is the command that starts its processes, such as `ip netns exec NAME`.
    """

    tree: Path
    logs: Path
    settings: Mapping[str, str]
    runner: Sequence[str] = ()
    started: list[Process] = field(default_factory=list)

    def environment(self, **further: str) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        ours = {PREFIX + name: value for name, value in self.settings.items()}
        path = f"{Path(sys.executable).parent}:{outside['PATH']}"
        return outside | ours | {"FLASK_APP": "contactexport", "PYTHONPATH": str(self.tree), "PATH": path} | further

    def run(self, *command: str, accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        """Runs `python -m command` to its end."""
        done = subprocess.run(
            [*self.runner, sys.executable, "-m", *command],
            cwd=self.tree,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode in accept, f"{command} ended with {done.returncode}: {done.stderr[-2000:]}"
        return done

    def start(self, name: str, *command: str, **environment: str) -> Process:
        """Starts `python -m command` in a session of its own."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self.runner, sys.executable, "-m", *command],
                cwd=self.tree,
                env=self.environment(**environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(Process(process, log))
        return self.started[-1]


@contextmanager
def ended_at_last(*installations: Installation) -> Iterator[None]:
    """Kills what the installations have started and not stopped."""
    try:
        yield
    finally:
        for process in [one for installation in installations for one in installation.started]:
            with suppress(ProcessLookupError):  # the pool may live longer than its worker
                os.killpg(process.pid, signal.SIGKILL)
            process.started.wait(timeout=30)
