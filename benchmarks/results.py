"""The figures of a benchmark: printed as a table, and stored as JSON for the charts and for docs/performance.md.

results.save(results.Table(
    name="large_export",                        # var/bench/large_export.json, chart large_export.png
    title="A large export against psql",
    about="1,000,000 of 4,000,000 contacts, ten fields; the fastest of 5 rounds.",
    ratio="speed against psql",                 # what a ratio of 1.8 means: 1.8 times ...
    rows=(Row("contactexport", 2.1, "s", ratio=1.8, aim="at least 1.5", more={"peak memory": "60 MB"}), ...),
))
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import contacts
from rich.console import Console
from rich.table import Table as PrintedTable


@dataclass(frozen=True)
class Row:
    """One measured value. If it could not be measured, `value` is None and `more` says why.

    The table's `ratio` says what `ratio` means. `aim` says in words what it should be. `more` has further columns.
    """

    name: str
    value: float | None
    unit: str
    ratio: float | None = None
    aim: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The results of one benchmark, or of one part of it. `values` is how its values were found."""

    name: str
    title: str
    about: str
    ratio: str
    rows: tuple[Row, ...]
    values: str = "measured"
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def save(table: Table) -> None:
    """Prints the table and stores it as JSON in the benchmarks' folder."""
    _print(table)
    path = contacts.folder() / f"{table.name}.json"
    path.write_text(json.dumps(asdict(table), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(name: str) -> Table | None:
    """The table of that name, or None."""
    path = contacts.folder() / f"{name}.json"
    if not path.exists():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return Table(**values | {"rows": tuple(Row(**row) for row in values["rows"])})


def save_text(name: str, text: str) -> None:
    """Prints and stores a text that is no table, such as a plan or a profile."""
    print(text, flush=True)
    (contacts.folder() / f"{name}.txt").write_text(text, encoding="utf-8")


def load_text(name: str) -> str | None:
    """The text of that name, or None."""
    path = contacts.folder() / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.exists() else None


def headings(table: Table) -> list[str]:
    """The headings of the columns: what was measured, its value, ratio and aim if any row has one, and further ones."""
    return ["", table.values, *(heading for heading, _ in _optional(table)), *_more(table)]


def cells(table: Table, row: Row) -> list[str]:
    """The values of a row, in the order of the headings."""
    measured = "–" if row.value is None else f"{readable(row.value)} {row.unit}"
    optional = [shown(row) for _, shown in _optional(table)]
    return [row.name, measured, *optional, *(row.more.get(heading, "") for heading in _more(table))]


def _optional(table: Table) -> list[tuple[str, Callable[[Row], str]]]:
    columns: list[tuple[str, Callable[[Row], str]]] = [
        (table.ratio, lambda row: "" if row.ratio is None else f"{row.ratio:.2f}"),
        ("aim", lambda row: row.aim),
    ]
    return [(heading, shown) for heading, shown in columns if any(map(shown, table.rows))]


def _more(table: Table) -> list[str]:
    return list(dict.fromkeys(heading for row in table.rows for heading in row.more))


def readable(value: float) -> str:
    """Three significant digits, with separated thousands."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _print(table: Table) -> None:
    printed = PrintedTable(title=table.title, caption=table.about, title_justify="left", caption_justify="left")
    numbers = {table.values, table.ratio}
    for place, heading in enumerate(headings(table)):
        printed.add_column(heading, justify="right" if place and heading in numbers else "left")
    for row in table.rows:
        printed.add_row(*cells(table, row))
    Console(width=140).print(printed)
