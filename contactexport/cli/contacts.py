"""`flask contacts`: sample contacts, and the group of the other commands."""

import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from contactexport.cli.adopt import adopt, release
from contactexport.cli.contact_check import check
from contactexport.cli.contact_import import import_command
from contactexport.cli.contact_prune import prune
from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup

group = CommandGroup(
    "contacts",
    help="Contacts: adopt your own table, check that its changes are logged, add samples, import CSV, prune.",
)
group.add_command(adopt)
group.add_command(release)
group.add_command(import_command)
group.add_command(prune)
group.add_command(check)


@group.command()
@click.option(
    "--contacts",
    type=click.IntRange(0),
    required=True,
    metavar="N",
    help="How many. 0 adds the catalogue only.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same contacts.")
def sample(contacts: int, seed: int) -> None:
    """Add the sample catalogue and N believable contacts.

    Their changes are spread over the year 2012 and over the last 60 days. Each further run adds more contacts.

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
            current_context().contacts, contacts, seed, lambda done: progress.update(task, completed=done)
        )
    seconds = time.monotonic() - begun
    click.echo(
        f"{made.contacts} contacts, {made.changes} changes in {seconds:.1f} s "
        f"({made.contacts / seconds:.0f} contacts/s)"
    )
