"""contactexport.crash_points: inert, unless the environment tells to end or stop the process."""

import ast
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import contactexport
from contactexport import crash_points
from contactexport.settings import unknown_settings

REACH = "from contactexport import crash_points; crash_points.reach('file named', 1); print('went on')"


@pytest.fixture
def received() -> Iterator[list[int]]:
    """The signals SIGUSR1 that this process gets."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def test_a_point_is_inert_without_the_variable(received, monkeypatch):
    monkeypatch.delenv(crash_points.VARIABLE, raising=False)
    crash_points.reach("file named", 1)
    assert received == []


@pytest.mark.parametrize(
    "elsewhere",
    ["", "file written:1:SIGUSR1", "file named:2:SIGUSR1", "file named:11:SIGUSR1", "file:1:SIGUSR1", "file named"],
)
def test_a_point_is_inert_when_another_point_or_attempt_is_meant(received, monkeypatch, elsewhere):
    monkeypatch.setenv(crash_points.VARIABLE, elsewhere)
    crash_points.reach("file named", 1)
    assert received == []


def test_a_point_sends_the_signal_when_it_is_meant(received, monkeypatch):
    monkeypatch.setenv(crash_points.VARIABLE, "export asked for:0:SIGUSR1")
    crash_points.reach("export asked for")
    assert received == [signal.SIGUSR1]


def reaching(wanted: str) -> subprocess.Popen[str]:
    environment = os.environ | {crash_points.VARIABLE: wanted}
    return subprocess.Popen([sys.executable, "-c", REACH], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_process_that_is_to_end_does_not_go_on():
    process = reaching("file named:1:SIGKILL")
    assert process.communicate(timeout=60) == ("", None)
    assert process.returncode == -signal.SIGKILL


def test_a_process_that_is_to_stop_goes_on_when_it_is_told():
    process = reaching("file named:1:SIGSTOP")
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60) == ("went on\n", None)


def test_the_variable_is_no_unknown_setting():
    assert list(unknown_settings({crash_points.VARIABLE: "file named:1:SIGKILL"})) == []


def test_a_name_is_one_moment_whatever_the_storage_and_the_host():
    package = Path(crash_points.__file__).parent
    places = defaultdict(list)
    for module in package.rglob("*.py"):
        for function in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for name in re.findall(
                    r'points\.reach\("([^"]+)"', ast.get_source_segment(module.read_text(), function)
                ):
                    # An object store writes a large and a small object in two functions, with the same moments.
                    within = function.name if module.name == "object_store.py" else ""
                    places[name].append((module.parent.name, module.name, within))
    assert len(places) > 10
    assert {name: found for name, found in places.items() if len({where for where, *_ in found}) > 1} == {}
    assert {name: found for name, found in places.items() if len(set(found)) < len(found)} == {}


def test_a_program_that_is_to_end_itself_says_so_when_it_starts(monkeypatch, caplog):
    monkeypatch.setenv(crash_points.VARIABLE, "file named:1:SIGKILL")
    contactexport.create_app()
    assert "for tests only: this process ends or stops itself at 'file named:1:SIGKILL'" in caplog.messages
