"""`flask secrets`: the key that encrypts what is stored."""

import click

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.errors import SecretUnreadable
from contactexport.services.rotate_secrets import rotate_secrets

group = CommandGroup("secrets", help="The key that encrypts WSSE secrets and FTP passwords.")


@group.command()
def rotate() -> None:
    """Re-encrypt all stored secrets with the first key of CONTACTEXPORT_SECRET_KEY.

    Put the new key in front, restart every server and worker, run this, then take the old key away.
    Safe to break off and to run again.

    \b
    Example:
      CONTACTEXPORT_SECRET_KEY="$NEW_KEY,$OLD_KEY" flask secrets rotate
    """
    rotated, unreadable = rotate_secrets(current_backend())
    click.echo(f"{rotated} secrets are under the first key")
    if unreadable:
        for owner in unreadable:
            click.echo(f"not readable: {owner}", err=True)
        raise SecretUnreadable
