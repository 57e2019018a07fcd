"""Tables on standard output: as wide as the terminal, or as they need for a pipe."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows under the names of their columns. Brackets in values are not markup."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 300, markup=False, highlight=False).print(table)
