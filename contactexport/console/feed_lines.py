"""A feed drawn as the line of its windows: the data of SVG paths, one for each result, and the same in words.

A line is 1000 wide, whatever time it shows, and 24 high. Every result has its own form as well as its own colour.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from contactexport.feeds.models import Feed

WIDTH = 1000
# The first and the last y of a block.
HEIGHTS = {
    "done": (5, 19),
    "late": (1, 23),
    "running": (8, 16),
    "open": (11, 13),
    "overdue": (3, 21),
    "paused": (8, 16),
    "gap": (12, 12),
    "earlier": (11, 13),
}
LEAST_WIDTH = 3
WORDS = {
    "done": ("file", "files"),
    "late": ("late", "late"),
    "failed": ("failed", "failed"),
    "gap": ("gap", "gaps"),
}


class Run(NamedTuple):
    """An ended run. `start` is None for a file of all contacts, `end` for a run that has failed.

    A page has thousands of them. So it is a tuple, and times are seconds since 1970.
    """

    status: str
    start: float | None
    end: float | None
    finished: float


class Window(NamedTuple):
    """What a run covers of the line. `start` is None for one that has failed: it covers nothing."""

    result: str
    start: float | None
    end: float


@dataclass(frozen=True)
class Line:
    """The paths by result, and what a reader who does not see the line is told."""

    paths: Mapping[str, str]
    text: str


def windows_of(feed: Feed, runs: Sequence[Run], late: Sequence[datetime]) -> list[Window]:
    """The runs of a feed as windows, oldest first. `late`: when the feed was late.

    A file of all contacts covers what is since the one before it, or since the feed was made.
    """
    found: list[Window] = []
    reached = delivered = feed.created_at.timestamp()
    moments = [moment.timestamp() for moment in late]
    for status, start, end, finished in runs:
        if status == "done" and end is not None:
            was_late = bool(moments) and any(delivered < moment <= finished for moment in moments)
            found.append(Window("late" if was_late else "done", min(start or reached, end), end))
            reached, delivered = end, finished
        else:
            found.append(Window("failed", None, finished))
    return found


class Canvas:
    """The paths of a line from `since` to `now`, by result."""

    def __init__(self, since: float, now: float) -> None:
        self.since = since
        self.scale = WIDTH / (now - since)
        self.parts: dict[str, list[str]] = defaultdict(list)

    def block(self, result: str, start: float, end: float) -> None:
        """Adds a block, if anything of it is on the line."""
        if end > self.since and end > start:
            left = round((start - self.since) * self.scale) if start > self.since else 0
            width = max(min(round((end - self.since) * self.scale), WIDTH) - left - 1, LEAST_WIDTH)
            top, bottom = HEIGHTS[result]
            self.parts[result].append(f"M{min(left, WIDTH - width)} {top}h{width}v{bottom - top}h-{width}z")

    def mark(self, moment: float) -> None:
        """Adds the mark of a failed run."""
        if moment > self.since:
            self.parts["failed"].append(f"M{min(round((moment - self.since) * self.scale), WIDTH - 5)} 24l-5 -9h10z")


def draw(feed: Feed, runs: Sequence[Run], late: Sequence[datetime], since: datetime, now: datetime, most: int) -> Line:
    """The line of a feed from `since` to `now`. Of more than `most` runs the oldest are one block."""
    begin, end = since.timestamp(), now.timestamp()
    windows, canvas = windows_of(feed, runs, late), Canvas(begin, end)
    gaps, reached = 0, None
    for one in windows:
        if one.start is None:
            canvas.mark(one.end)
            continue
        if reached is None and len(runs) >= most:
            canvas.block("earlier", begin, one.start)
        elif reached is not None and one.start > reached and one.end > begin:
            canvas.block("gap", reached, one.start)
            gaps += 1
        canvas.block(one.result, one.start, one.end)
        reached = one.end
    canvas.block(state_now(feed), reached or (feed.cursor or feed.created_at).timestamp(), end)
    text = in_words(windows, begin, gaps) + (", and earlier ones" if "earlier" in canvas.parts else "")
    return Line({name: "".join(drawn) for name, drawn in canvas.parts.items()}, text)


def state_now(feed: Feed) -> str:
    """What becomes of the time since the last file."""
    if feed.paused_at is not None:
        return "paused"
    if feed.late_told_at is not None:
        return "overdue"
    return "running" if feed.running_export is not None else "open"


def in_words(windows: Sequence[Window], since: float, gaps: int) -> str:
    """Such as "7 files, 1 late, 2 failed"."""
    counts = {"done": 0, "late": 0, "failed": 0, "gap": gaps}
    for one in windows:
        if one.end > since:
            counts[one.result] += 1
    counts["done"] += counts["late"]
    told = [f"{count} {WORDS[name][count != 1]}" for name, count in counts.items() if count or name == "done"]
    return ", ".join(told)
