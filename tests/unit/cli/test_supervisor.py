"""The supervisor on small real processes."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from contactexport.cli import supervisor as module
from contactexport.cli.supervisor import Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({!r}, 'w'); time.sleep(60)"
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).wait()"


@pytest.fixture
def supervisor():
    made = Supervisor(dict(os.environ))
    yield made
    made.stop()


def wait_for(condition) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_ended_child_is_restarted(supervisor, monkeypatch):
    monkeypatch.setattr(module, "RESTART_SECONDS", 0.1)
    supervisor.start("sleeper", SLEEPER)
    first = supervisor.children[0].process
    first.kill()
    first.wait()
    supervisor.revive()
    second = supervisor.children[0].process
    assert second.pid != first.pid
    assert second.poll() is None


def test_running_child_is_not_restarted(supervisor):
    supervisor.start("sleeper", SLEEPER)
    pid = supervisor.children[0].process.pid
    supervisor.revive()
    assert supervisor.children[0].process.pid == pid


def test_nothing_is_restarted_after_stop_request(supervisor):
    supervisor.start("sleeper", SLEEPER)
    supervisor.children[0].process.kill()
    supervisor.children[0].process.wait()
    supervisor.stopping.set()
    supervisor.revive()
    assert supervisor.children[0].process.poll() is not None


def test_stop_ends_all_children(supervisor):
    supervisor.start("one", SLEEPER)
    supervisor.start("two", SLEEPER)
    supervisor.stop()
    assert [child.process.returncode for child in supervisor.children] == [-signal.SIGTERM] * 2


def test_child_that_ignores_sigterm_is_killed(supervisor, tmp_path):
    supervisor.stop_seconds = 0.2
    begun = tmp_path / "begun"
    supervisor.start("stubborn", [sys.executable, "-c", STUBBORN.format(str(begun))])
    wait_for(begun.exists)
    supervisor.stop()
    assert supervisor.children[0].process.returncode == -signal.SIGKILL


def test_orphan_of_killed_child_is_ended(supervisor, monkeypatch):
    monkeypatch.setattr(module, "RESTART_SECONDS", 0.1)
    supervisor.start("parent", [sys.executable, "-c", PARENT])
    parent = psutil.Process(supervisor.children[0].process.pid)
    wait_for(parent.children)
    orphan = parent.children()[0]
    parent.kill()
    supervisor.children[0].process.wait()
    supervisor.revive()
    wait_for(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


def test_watch_returns_after_stop_request(supervisor):
    threading.Timer(0.1, supervisor.stopping.set).start()
    supervisor.watch()
    assert supervisor.stopping.is_set()


def test_sigterm_requests_stop(supervisor):
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        supervisor.listen_for_stop_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(supervisor.stopping.is_set)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
