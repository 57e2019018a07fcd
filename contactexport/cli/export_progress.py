"""The progress bar of an export, on standard error and only on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from contactexport.exports.run import Progress as Told


@contextmanager
def shown() -> Iterator[Told | None]:
    """Yields the function that updates the bar, or None if standard error is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("contacts"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("contacts", total=None, told="")

        def tell(written: int, expected: int, exact: bool) -> None:
            # An estimate may be too low. So the bar is full only when the exact number is known.
            total = expected if exact else max(expected, written + 1)
            told = f"{written:,} of {'' if exact else 'about '}{total:,}"
            bar.update(task, total=total, completed=written, told=told)

        yield tell
