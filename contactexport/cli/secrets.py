"""`flask secrets`: the key that encrypts what is stored."""

import json

import click

from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.errors import SecretUnreadable
from contactexport.exports.notify import signing_key
from contactexport.manifests.store import public_key_set, rotate_key
from contactexport.secrets.rotate import rotate_secrets

group = CommandGroup(
    "secrets", help="The key that encrypts what is stored, and those that sign notifications and manifests."
)


@group.command()
def rotate() -> None:
    """Re-encrypt all stored secrets with the first key of CONTACTEXPORT_SECRET_KEY.

    First put the new key in front of the old one and restart every server and worker. Then run this command.
    Then remove the old key. Safe to interrupt and to repeat.

    \b
    Example:
      CONTACTEXPORT_SECRET_KEY="$NEW_KEY,$OLD_KEY" flask secrets rotate
    """
    rotated, unreadable = rotate_secrets(current_context())
    click.echo(f"{rotated} secrets are encrypted with the first key")
    if unreadable:
        for owner in unreadable:
            click.echo(f"not readable: {owner}", err=True)
        raise SecretUnreadable


@group.command("notification-key")
def notification_key() -> None:
    """Print the key that signs notifications, for their receivers.

    It is derived from the first key of CONTACTEXPORT_SECRET_KEY and changes with it. With it one can sign
    notifications in the name of this service, and read nothing.

    \b
    Example:
      flask secrets notification-key
    """
    click.echo(signing_key(current_context()))


@group.group("manifest-key", cls=CommandGroup, invoke_without_command=True)
@click.pass_context
def manifest_key(ctx: click.Context) -> None:
    """The keys that sign manifests. Without a command it prints the public ones, like `show`.

    \b
    Example:
      flask secrets manifest-key > keys.json
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show_manifest_keys)


@manifest_key.command("show")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, which it always does.")
def show_manifest_keys() -> None:
    """Print the public keys, oldest first, as the file for `contactexport verify --key`.

    It is a JWK Set, the same as the answer of GET /api/v2/manifest-keys. There is nothing secret in it.

    \b
    Example:
      flask secrets manifest-key show > keys.json
    """
    click.echo(json.dumps(public_key_set(current_context()), indent=2))


@manifest_key.command("rotate")
def rotate_manifest_key() -> None:
    """Sign manifests with a new key from now on, and erase the old private key.

    What the old key has signed stays verifiable. Receivers need the new public key: run `show` and give it to them.

    \b
    Example:
      flask secrets manifest-key rotate
    """
    click.echo(f"manifests are signed with the key {rotate_key(current_context())}")
