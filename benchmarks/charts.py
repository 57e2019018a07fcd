"""Draws the table of a benchmark: one bar for each row, one group of bars for each unit."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from results import Row, Table, readable

OURS, OTHERS = "#1f6f8b", "#b8c4cc"
INCHES_WIDE, INCHES_A_BAR, INCHES_AROUND = 8.5, 0.32, 0.9


def draw(table: Table, file: Path) -> None:
    """Writes a PNG without the rows that could not be measured."""
    measured = [row for row in table.rows if row.value is not None]
    groups = [[row for row in measured if row.unit == unit] for unit in dict.fromkeys(row.unit for row in measured)]
    height = sum(INCHES_A_BAR * len(rows) + INCHES_AROUND for rows in groups)
    figure = Figure(figsize=(INCHES_WIDE, height), layout="constrained")
    figure.suptitle(table.title, fontsize=11)
    heights = [len(rows) + INCHES_AROUND / INCHES_A_BAR for rows in groups]
    axes = figure.subplots(len(groups), squeeze=False, gridspec_kw={"height_ratios": heights})
    for (plot,), rows in zip(axes, groups, strict=True):
        _bars(plot, rows)
    figure.savefig(file, dpi=110, metadata={"Software": None})


def _bars(plot: Axes, rows: list[Row]) -> None:
    """Draws the bars, with the first row on top."""
    colours = [OURS if row.name.startswith("contactexport") else OTHERS for row in rows]
    bars = plot.barh([row.name for row in rows], [row.value or 0 for row in rows], color=colours)
    plot.bar_label(bars, [_label(row) for row in rows], padding=3, fontsize=8)
    plot.invert_yaxis()
    plot.margins(x=0.18)
    plot.set_xlabel(rows[0].unit, fontsize=8)
    plot.tick_params(labelsize=8)
    plot.spines[["top", "right"]].set_visible(False)


def _label(row: Row) -> str:
    ratio = "" if row.ratio is None else f"  (× {row.ratio:.2f})"
    return f"{readable(row.value or 0)}{ratio}"
