"""`flask users`: who may call the API."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.db.user_repository import ApiUser
from contactexport.services import manage_users
from contactexport.services.manage_users import NewCredentials

group = CommandGroup("users", help="The users of the API: WSSE secrets and bearer tokens.")


def _credential_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--expires", metavar="DAYS|DATE", help="Last day of the token: 30d, 2027-01-31 or never."),
        click.option(
            "--replay", type=click.Choice(["strict", "off"]), help="Whether a repeated WSSE nonce is refused."
        ),
        click.option("--token", "with_token", is_flag=True, help="A bearer token."),
        click.option("--wsse", "with_wsse", is_flag=True, help="A WSSE secret."),
    ):
        command = option(command)
    return command


@group.command()
@click.argument("name")
@_credential_options
def add(name: str, as_json: bool, replay: str | None, **credentials: Any) -> None:
    """Add a user and print the credentials, which are never shown again.

    With neither --wsse nor --token both are made. --replay off is for clients that repeat their nonce;
    without it every WSSE header is accepted once.

    \b
    Examples:
      flask users add anna
      flask users add cron --token --expires 90d --json
      flask users add shop --wsse --replay off
    """
    _show(manage_users.add_user(current_backend(), name, replay=replay or "strict", **credentials), as_json)


@group.command()
@click.argument("name")
@_credential_options
def rotate(name: str, as_json: bool, **changes: Any) -> None:
    """Replace a user's credentials and print the new ones; the former ones end at once.

    With neither --wsse nor --token those are replaced that the user has. Without --expires a new token
    keeps the former one's date, without --replay that stays as it is.

    \b
    Examples:
      flask users rotate anna
      flask users rotate cron --token --expires 2027-01-31
    """
    _show(manage_users.rotate_user(current_backend(), name, **changes), as_json)


@group.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End a user's WSSE secret and token at once. Exports already accepted go on.

    \b
    Example:
      flask users revoke anna
    """
    manage_users.revoke_user(current_backend(), name)
    click.echo(f"revoked {name}")


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(as_json: bool) -> None:
    """List all users, revoked ones included, without their secrets.

    \b
    Example:
      flask users list --json
    """
    users = manage_users.list_users(current_backend())
    if as_json:
        click.echo(json.dumps([asdict(user) for user in users], default=datetime.isoformat, indent=2))
        return
    rows = [("NAME", "CREDENTIALS", "TOKEN EXPIRES", "REPLAY", "CREATED", "REVOKED"), *map(_row, users)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(user: ApiUser) -> tuple[str, ...]:
    kinds = [kind for kind, has in (("wsse", user.has_wsse), ("token", user.has_token)) if has]
    return (
        user.name,
        "+".join(kinds) or "-",
        _shown(user.token_expires_at),
        user.replay,
        _shown(user.created_at),
        _shown(user.revoked_at),
    )


def _shown(at: datetime | None) -> str:
    return f"{at:%F %T}Z" if at else "-"


def _show(new: NewCredentials, as_json: bool) -> None:
    values = {key: value for key, value in asdict(new).items() if as_json or value is not None}
    if as_json:
        click.echo(json.dumps(values, default=datetime.isoformat))
        return
    for key, value in values.items():
        click.echo(f"{key:<16}  {_shown(value) if isinstance(value, datetime) else value}")
    click.echo("Note them now: they are not shown again.", err=True)
