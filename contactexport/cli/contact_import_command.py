"""`flask contacts import`: creates and updates contacts from a CSV file."""

import io
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from contactexport.cli.backend import current_backend
from contactexport.errors import ContactExportError
from contactexport.services.import_contacts import (
    SHOWN_LINES,
    ImportOrder,
    ImportResult,
    OnProgress,
    import_contacts,
)

DELIMITERS = {",": ",", ";": ";", "tab": "\t", "\t": "\t", "\\t": "\t"}


class _Origin(click.ParamType[tuple[str, int]]):
    name = "form:ID|api:ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        match = re.fullmatch(r"(form|api):([0-9]{1,9})", str(value))
        if match is None:
            self.fail(f"{value!r} is not an origin: form:ID or api:ID expected, for example form:123", param, ctx)
        return match[1], int(match[2])


@click.command("import")
@click.argument("file", metavar="FILE.csv", type=click.File("rb"))
@click.option("--origin", required=True, type=_Origin(), help="Form or API source of the contacts that are created.")
@click.option("--key", metavar="FIELD", help="Field that tells contacts apart, by name or id.  [default: E-Mail]")
@click.option(
    "--delimiter",
    default=",",
    show_default=True,
    type=click.Choice([",", ";", "tab", "\t", "\\t"]),
    metavar="[,|;|tab]",
    help="What stands between two values.",
)
@click.option("--encoding", default="utf-8", show_default=True, help="How the file is written, such as cp1252.")
@click.option(
    "--reject",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write bad lines to this file (replacing it) and import the others.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, keep nothing.")
def import_command(
    file: BinaryIO,
    origin: tuple[str, int],
    key: str | None,
    delimiter: str,
    encoding: str,
    reject: Path | None,
    dry_run: bool,
) -> None:
    """Create and update contacts from a CSV file, or from standard input with `-`.

    The first line names the fields: ids, or names in any language. A contact with the same key is updated,
    and keeps its origin; otherwise one is created with the origin given. Fields that the file lacks stay as
    they are, an empty value empties its field. E-mail addresses as keys are compared in lower case. The
    columns `user_id` and `last update` of an export are ignored.

    Dates are written 2012-02-29, choices as a label in any language or as their id (where both fit, the label
    counts), several choices are joined with a comma.

    Bad lines are reported with the line where they start, the column and the reason. If there are any,
    nothing is imported and the exit code is 1, unless --reject FILE takes them: the file has the same header
    and the lines unchanged, ready to be corrected and imported again.

    \b
    Examples:
      flask contacts import people.csv --origin form:123
      flask contacts import people.csv --origin api:456 --delimiter ';' --reject bad.csv
      flask contacts import - --origin form:123 --key "Loyalty number" --dry-run < people.csv
    """
    _require_different_files(file, reject)
    order = ImportOrder(*origin, key, DELIMITERS[delimiter], encoding, reject, dry_run)
    started = time.monotonic()
    with _progress_bar(file) as on_progress:
        result = import_contacts(current_backend().contacts, file, order, on_progress)
    _report(result, order, time.monotonic() - started)


def _report(result: ImportResult, order: ImportOrder, seconds: float) -> None:
    for problem in result.problems:
        click.echo(problem, err=True)
    if result.rejected > SHOWN_LINES:
        click.echo(f"and {result.rejected - SHOWN_LINES} more bad lines", err=True)
    lines = "1 bad line" if result.rejected == 1 else f"{result.rejected} bad lines"
    if result.refused:
        raise ContactExportError(f"{lines}, nothing was imported (--reject FILE imports the others)")
    if result.rejected:
        where = "" if order.dry_run else f", written to {order.reject}"
        click.echo(f"{lines}{where}", err=True)
    click.echo(
        f"{'dry run, nothing was kept: ' if order.dry_run else ''}created {result.created}, "
        f"updated {result.updated}, unchanged {result.unchanged}, rejected {result.rejected}, "
        f"{seconds:.1f} seconds"
    )


def _require_different_files(file: BinaryIO, reject: Path | None) -> None:
    name = getattr(file, "name", None)
    if reject is not None and isinstance(name, str) and reject.exists() and reject.samefile(name):
        raise click.UsageError(f"--reject {reject} is the file to import: name another one")


@contextmanager
def _progress_bar(file: BinaryIO) -> Iterator[OnProgress]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=_size(file))
        yield lambda doing, done: progress.update(task, description=doing, completed=done)


def _size(file: BinaryIO) -> int | None:
    try:
        status = os.fstat(file.fileno())
    except io.UnsupportedOperation:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
