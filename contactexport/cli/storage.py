"""`flask storage`: the folder of finished files."""

import click

from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.files import storage_check

group = CommandGroup("storage", help="The folder of finished files.")


@group.command()
@click.option("--replace", is_flag=True, help="Even if another folder is marked, or this one by others.")
def init(replace: bool) -> None:
    """Mark the storage folder as the one of this installation.

    Needed once in production, and after an update from a version without marker. Mount the folder that all machines
    share, then run this on one of them. It creates a missing folder. A server or worker whose folder lacks the marker
    is not ready and takes no exports.

    \b
    Example:
      flask storage init
    """
    context = current_context()
    installation = storage_check.mark(context, replace=replace)
    click.echo(f"{context.storage.place} belongs to installation {installation}")
