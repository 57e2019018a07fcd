"""How the pages show values: times, sizes, durations, texts of other computers, and addresses of static files."""

import hashlib
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import url_for

from contactexport.console.blueprint import console, current_context
from contactexport.moments import in_zone

STATIC = Path(__file__).parent / "static"
UNITS = ("B", "kB", "MB", "GB", "TB")
# Colours and cursor moves of a terminal, then any other control character. Bidirectional marks could reorder a line.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
NAV = (
    ("console.overview", "Overview", ("console.overview",)),
    ("console.exports", "Exports", ("console.exports", "console.export")),
    ("console.new_export", "New export", ("console.new_export", "console.preview_export")),
    ("console.feeds", "Feeds", ("console.feeds", "console.feed", "console.verify")),
    ("console.users", "Users", ("console.users", "console.user")),
    ("console.system", "System", ("console.system",)),
)


@console.app_context_processor
def values() -> dict[str, Any]:
    """What every template knows."""
    return {"console_nav": NAV, "console_asset": asset}


@console.app_template_filter("iso_time")
def iso_time(moment: datetime) -> str:
    """2026-11-29T13:37:00+01:00, in the service's time zone."""
    return in_zone(moment, current_context().settings.time_zone).isoformat(timespec="seconds")


@console.app_template_filter("local_time")
def local_time(moment: datetime) -> str:
    """2026-11-29 13:37:00, in the service's time zone."""
    return f"{in_zone(moment, current_context().settings.time_zone):%Y-%m-%d %H:%M:%S}"


@console.app_template_filter("grouped")
def grouped(number: float | None) -> str:
    """12,345. A dash for None."""
    return "–" if number is None else f"{number:,.0f}"


@console.app_template_filter("file_size")
def file_size(size: int | None) -> str:
    """1.2 MB. A dash for None."""
    if size is None:
        return "–"
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {UNITS[unit]}"


@console.app_template_filter("duration")
def duration(seconds: float | None) -> str:
    """0.4 s, 12 s, 3 min 20 s, 5 h 10 min, 2 d 3 h. A dash for None."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for size, name, smaller, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


@console.app_template_filter("plain_text")
def plain_text(text: str | None) -> str:
    """A text of another computer without control characters, so that it can neither colour nor reorder anything."""
    return UNSEEN.sub("\N{REPLACEMENT CHARACTER}", ANSI.sub("", text or ""))


def asset(name: str) -> str:
    """The address of a static file with the hash of its content, so that browsers may cache it for good."""
    return url_for("console.static", filename=name, v=_version(name))


@cache
def _version(name: str) -> str:
    with open(STATIC / name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
