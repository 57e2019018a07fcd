"""`flask contacts import`: creates and updates contacts from a CSV file."""

import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

from contactexport.cli.current import current_context
from contactexport.cli.origins import Origin
from contactexport.contact_import.run import SHOWN_LINES, ImportOrder, OnProgress, import_contacts
from contactexport.errors import ContactExportError

DELIMITERS = {",": ",", ";": ";", "tab": "\t", "\t": "\t", "\\t": "\t"}


@click.command("import")
@click.argument("file", metavar="FILE.csv", type=click.File("rb"))
@click.option("--origin", required=True, type=Origin(), help="Form or API source of the contacts that are created.")
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
@click.option("--create-fields", is_flag=True, help="Create the fields of the header, and the origin, if missing.")
@click.option("--dry-run", is_flag=True, help="Check everything, print what would be done, change nothing.")
def import_command(
    file: BinaryIO,
    origin: tuple[str, int],
    key: str | None,
    delimiter: str,
    encoding: str,
    reject: Path | None,
    create_fields: bool,
    dry_run: bool,
) -> None:
    """Create and update contacts from a CSV file, or from standard input with `-`.

    The first line names the fields: ids, or names in any language. A contact with the same key is updated
    and keeps its origin. If there is none, one is created with the given origin. Fields that the file lacks do
    not change. An empty value empties its field. E-mail addresses as keys are compared in lower case. The
    columns `user_id` and `last update` of an export are ignored.

    Write dates as 2012-02-29, and choices as a label in any language or as their id. If both fit, the label
    counts. Join several choices with a comma.

    Bad lines are reported with the line where they start, the column and the reason. If there are any,
    nothing is imported and the exit code is 1. With --reject FILE the others are imported. That file gets
    the same header and the bad lines unchanged, ready to be corrected and imported again.

    With --create-fields an empty installation needs nothing before. Fields of the header that the catalogue lacks are
    created: those with known names (email, first_name, birthday, country …) as system fields, the others as custom
    fields of text. The origin is created, too.

    \b
    Examples:
      flask contacts import people.csv --origin form:123
      flask contacts import people.csv --origin form:123 --create-fields
      flask contacts import people.csv --origin api:456 --delimiter ';' --reject bad.csv
      flask contacts import - --origin form:123 --key "Loyalty number" --dry-run < people.csv
    """
    name = getattr(file, "name", None)
    if reject is not None and isinstance(name, str) and reject.exists() and reject.samefile(name):
        raise click.UsageError(f"--reject {reject} is the file to import: name another one")
    order = ImportOrder(*origin, key, DELIMITERS[delimiter], encoding, reject, dry_run, create_fields)
    started = time.monotonic()
    with _progress_bar(file) as on_progress:
        result = import_contacts(current_context().contacts, file, order, on_progress)
    seconds = time.monotonic() - started
    for problem in result.problems:
        click.echo(problem, err=True)
    if result.rejected > SHOWN_LINES:
        click.echo(f"and {result.rejected - SHOWN_LINES} more bad lines", err=True)
    lines = "1 bad line" if result.rejected == 1 else f"{result.rejected} bad lines"
    if result.refused:
        raise ContactExportError(f"{lines}, nothing was imported (--reject FILE imports the others)")
    if result.rejected:
        where = "" if dry_run else f", written to {reject}"
        click.echo(f"{lines}{where}", err=True)
    click.echo(
        f"{'dry run, nothing was changed: ' if dry_run else ''}created {result.created}, "
        f"updated {result.updated}, unchanged {result.unchanged}, rejected {result.rejected}, "
        f"{seconds:.1f} seconds"
    )


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
    size = None
    with suppress(io.UnsupportedOperation):  # the file is in memory
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=size)
        yield lambda doing, done: progress.update(task, description=doing, completed=done)
