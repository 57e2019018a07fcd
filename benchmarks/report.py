"""Puts the tables and charts of the last run into docs/performance.md and docs/growth.md, between comments with names.

    <!-- begin tools_compared -->
    <!-- end tools_compared -->

Figures of a small scale go into copies of the pages in the benchmarks' folder.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import charts
import contacts
import results

CHARTED = contacts.PROJECT / "docs" / "performance.md"
PAGES = (CHARTED, contacts.PROJECT / "docs" / "growth.md")  # the second has figures of many kinds in one table
REGION = re.compile(r"(?P<begin><!-- begin (?P<name>\w+) -->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL)


def write(machine: Mapping[str, str], scale: float) -> list[Path]:
    """Returns the paths of the pages. Regions without a result of this run stay empty."""
    measured = {"machine": _machine(machine, scale)}
    return [_write(page, scale, measured) for page in PAGES]


def _write(source: Path, scale: float, measured: Mapping[str, str]) -> Path:
    page = source if scale >= 1 else contacts.folder() / "report" / source.name
    page.parent.mkdir(exist_ok=True)
    pictures = page.parent / page.stem if source == CHARTED else None
    text = REGION.sub(
        lambda region: (
            region["begin"] + (measured.get(region["name"]) or _result(region["name"], pictures)) + region["end"]
        ),
        source.read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")
    return page


def _machine(machine: Mapping[str, str], scale: float) -> str:
    known = {**machine} | {"measured": f"{datetime.now(UTC):%Y-%m-%d}, scale {scale:g}"}
    return _markdown(["", ""], [[name, value] for name, value in known.items()])


def _result(name: str, pictures: Path | None) -> str:
    if text := results.load_text(name):
        return f"```text\n{text.rstrip()}\n```\n"
    table = results.load(name)
    if table is None:
        return ""
    rows = [results.cells(table, row) for row in table.rows]
    text = f"{table.about}\n\n{_markdown(results.headings(table), rows)}"
    if pictures is None:
        return text
    pictures.mkdir(exist_ok=True)
    picture = pictures / f"{name}.png"
    charts.draw(table, picture)
    return f"{text}\n![{table.title}]({pictures.name}/{picture.name})\n"


def _markdown(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
