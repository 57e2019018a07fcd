"""`flask storage`: the folder or object store of finished files."""

import click

from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.files import storage_check

group = CommandGroup("storage", help="The folder or object store of finished files.")


@group.command()
@click.option("--replace", is_flag=True, help="Even if another storage is marked, or this one by others.")
def init(replace: bool) -> None:
    """Mark the folder or bucket of CONTACTEXPORT_STORAGE as the one of this installation.

    Needed once in production, and after an update from a version without marker. Mount the folder that all machines
    share, or make the bucket, then run this on one of them. It creates a missing folder, but no bucket. A server or
    worker whose storage lacks the marker is not ready and takes no exports.

    \b
    Example:
      flask storage init
    """
    context = current_context()
    installation = storage_check.mark(context, replace=replace)
    click.echo(f"{context.storage.place} belongs to installation {installation}")
