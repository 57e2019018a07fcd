"""`flask contacts`: sample contacts to try the program with."""

import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.cli.contact_import_command import import_command
from contactexport.cli.contact_prune_command import prune

group = CommandGroup("contacts", help="The contacts: sample ones, imports of CSV files, and the log of their changes.")
group.add_command(import_command)
group.add_command(prune)


@group.command()
@click.option(
    "--contacts",
    type=click.IntRange(0),
    required=True,
    metavar="N",
    help="How many; 0 for the catalogue only.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same contacts.")
def sample(contacts: int, seed: int) -> None:
    """Add the sample catalogue and N believable contacts.

    Their changes are spread over the year 2012 and over the last 60 days. Run again, it adds further contacts.

    \b
    Example:
      flask contacts sample --contacts 100000 --seed 7
    """
    from contactexport.embedded import sample_contacts

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    begun = time.monotonic()
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("contacts", total=contacts)
        made = sample_contacts.generate(
            current_backend().contacts, contacts, seed, lambda done: progress.update(task, completed=done)
        )
    seconds = time.monotonic() - begun
    click.echo(
        f"{made.contacts} contacts, {made.changes} changes in {seconds:.1f} s "
        f"({made.contacts / seconds:.0f} contacts/s)"
    )
