"""The progress bar of an export says `about` and is not full until the number of rows is known."""

import io
import re

import pytest
from rich.console import Console

from contactexport.cli import export_progress

FULL = "━" * 40
NUMBERS = re.compile(r"[\d,]+ of (?:about )?[\d,]+")


def last_frame(monkeypatch: pytest.MonkeyPatch, *told: tuple[int, int, bool]) -> str:
    """Returns the last line on a terminal after these calls."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=120, legacy_windows=False)
    monkeypatch.setattr(export_progress, "Console", lambda **_: console)
    with export_progress.shown() as tell:
        assert tell is not None
        for progress in told:
            tell(*progress)
    return re.findall(r"contacts [^\r\x1b]*", terminal.getvalue())[-1]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ([(12_345, 88_128, False)], "12,345 of about 88,128"),
        ([(88_128, 88_128, False)], "88,128 of about 88,129"),
        ([(90_000, 88_128, False)], "90,000 of about 90,001"),
        ([(90_000, 88_128, False), (90_130, 90_130, True)], "90,130 of 90,130"),
        ([(80_000, 88_128, False), (80_001, 80_001, True)], "80,001 of 80,001"),
        ([(0, 0, False), (0, 0, True)], "0 of 0"),
    ],
)
def test_bar_marks_estimates_and_ends_with_exact_number(monkeypatch: pytest.MonkeyPatch, told, shown: str):
    assert NUMBERS.findall(last_frame(monkeypatch, *told)) == [shown]


def test_bar_is_full_only_when_number_is_exact(monkeypatch: pytest.MonkeyPatch):
    assert FULL not in last_frame(monkeypatch, (90_000, 88_128, False))
    assert FULL in last_frame(monkeypatch, (90_000, 88_128, False), (90_130, 90_130, True))


def test_nothing_is_shown_without_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export_progress, "Console", lambda **_: Console(file=io.StringIO(), force_terminal=False))
    with export_progress.shown() as tell:
        assert tell is None
