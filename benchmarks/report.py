"""Puts the tables and charts of the last run into docs/performance.md, between the comments that name them.

    <!-- begin tools_compared -->
    <!-- end tools_compared -->

Figures of a small scale go into a copy of the page in the benchmarks' folder.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import charts
import contacts
import results

PAGE = contacts.PROJECT / "docs" / "performance.md"
REGION = re.compile(r"(?P<begin><!-- begin (?P<name>\w+) -->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL)


def write(machine: Mapping[str, str], scale: float) -> Path:
    """Returns the path of the page. Regions without a result of this run stay empty."""
    page = PAGE if scale >= 1 else contacts.folder() / "report" / PAGE.name
    pictures = page.parent / page.stem
    pictures.mkdir(parents=True, exist_ok=True)
    measured = {"machine": _machine(machine, scale)}
    text = REGION.sub(
        lambda region: (
            region["begin"] + (measured.get(region["name"]) or _result(region["name"], pictures)) + region["end"]
        ),
        PAGE.read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")
    return page


def _machine(machine: Mapping[str, str], scale: float) -> str:
    known = {**machine} | {"measured": f"{datetime.now(UTC):%Y-%m-%d}, scale {scale:g}"}
    return _markdown(["", ""], [[name, value] for name, value in known.items()])


def _result(name: str, pictures: Path) -> str:
    if text := results.load_text(name):
        return f"```text\n{text.rstrip()}\n```\n"
    table = results.load(name)
    if table is None:
        return ""
    picture = pictures / f"{name}.png"
    charts.draw(table, picture)
    rows = [results.cells(table, row) for row in table.rows]
    link = f"![{table.title}]({pictures.name}/{picture.name})"
    return f"{table.about}\n\n{_markdown(results.headings(table), rows)}\n{link}\n"


def _markdown(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
