"""`flask storage`: the folder of finished files."""

import click

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.services import check_storage

group = CommandGroup("storage", help="The folder of finished files.")


@group.command()
@click.option("--replace", is_flag=True, help="Although another folder, or this one by others, was marked before.")
def init(replace: bool) -> None:
    """Mark the storage folder as that of this installation.

    Needed once in production, and after an update from a version without marker: mount the folder that all machines
    share, then run this on one of them. Makes the folder if it is missing. A server or worker whose folder lacks the
    marker is not ready and takes no exports.

    \b
    Example:
      flask storage init
    """
    backend = current_backend()
    installation = check_storage.mark(backend, replace=replace)
    click.echo(f"{backend.settings.storage_dir} belongs to installation {installation}")
