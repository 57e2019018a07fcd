"""The progress bar of an export, on standard error and only on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from contactexport.services.run_export import Progress as Told


@contextmanager
def shown() -> Iterator[Told | None]:
    """Yields what to tell the expected and the written lines; None where nobody is watching."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("contacts"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("contacts", total=None)
        yield lambda expected, lines: bar.update(task, total=expected, completed=min(lines, expected))
