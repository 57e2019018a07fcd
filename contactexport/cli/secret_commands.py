"""`flask secrets`: the key that encrypts what is stored."""

import click

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.errors import SecretUnreadable
from contactexport.services.notify_export import signing_key
from contactexport.services.rotate_secrets import rotate_secrets

group = CommandGroup("secrets", help="The key that encrypts what is stored, and the one that signs notifications.")


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


@group.command("notification-key")
def notification_key() -> None:
    """Print the key that signs notifications, for those who receive them.

    It follows from the first key of CONTACTEXPORT_SECRET_KEY and changes with it. Who has it can sign notifications
    in this service's name, and read nothing with it.

    \b
    Example:
      flask secrets notification-key
    """
    click.echo(signing_key(current_backend()))
