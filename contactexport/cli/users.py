"""`flask users`: who may call the API."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from contactexport import audit
from contactexport.cli.current import current_context, current_operator
from contactexport.cli.errors import CommandGroup
from contactexport.errors import UsageError
from contactexport.users import manage
from contactexport.users.manage import NewCredentials
from contactexport.users.models import OPERATOR, VIEWER
from contactexport.users.store import ApiUser, Rights

HEADER = (
    "NAME",
    "TEAM",
    "CREDENTIALS",
    "RIGHTS",
    "REQUESTS/MIN",
    "EXPORTS",
    "TOKEN EXPIRES",
    "REPLAY",
    "CREATED",
    "REVOKED",
)

group = CommandGroup("users", help="The users of the API: WSSE secrets, bearer tokens and OAuth clients.")


class Limit(click.ParamType[int]):
    """A whole number from 1 on, or `default`, which becomes 0."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Returns the number. Fails with one line for anything else."""
        if value == "default":
            return 0
        if not str(value).isascii() or not str(value).isdigit() or not 1 <= int(value) < 2**31:
            self.fail(f"{value!r} is not a whole number from 1 on, nor `default`", param, ctx)
        return int(value)


Options = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: Options) -> Options:
    def add_all(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add_all


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_expires = click.option("--expires", metavar="DAYS|DATE", help="Last day of the token: 30d, 2027-01-31 or never.")
_replay = click.option(
    "--replay", type=click.Choice(["strict", "off"]), help="Whether a repeated WSSE nonce is refused."
)
_credentials = _options(
    click.option("--wsse", "with_wsse", is_flag=True, help="A WSSE secret."),
    click.option("--token", "with_token", is_flag=True, help="A bearer token."),
    click.option("--oauth", "with_oauth", is_flag=True, help="An OAuth 2.0 client: client id and secret."),
    _expires,
    _replay,
    _json,
)
_rights = _options(
    click.option("--team", metavar="TEAM", help="Sees, cancels and downloads the exports of this team."),
    click.option("--operator/--no-operator", default=None, help="Sees and changes the exports of every team."),
    click.option("--viewer/--no-viewer", default=None, help="Sees the exports of every team, changes nothing."),
    click.option(
        "--compatible/--strict",
        default=None,
        help="Accepts what clients of the original send: a repeated nonce, Created without an offset, equal start "
        "and end of time_range, empty optional parameters, getregistrations without origin.",
    ),
    click.option(
        "--requests-per-minute", type=Limit(), metavar="N|default", help="Instead of the setting for all users."
    ),
    click.option(
        "--exports", "exports_per_user", type=Limit(), metavar="N|default", help="Unfinished exports at a time."
    ),
)


@group.command()
@click.argument("name")
@_credentials
@_rights
def add(
    name: str,
    with_wsse: bool,
    with_token: bool,
    with_oauth: bool,
    expires: str | None,
    as_json: bool,
    **rights: str | int | bool | None,
) -> None:
    """Add a user and print the credentials, which are never shown again.

    Without --wsse, --token and --oauth a WSSE secret and a token are created. Users of the team `default` share
    exports unless --team says otherwise. --compatible is for clients that were written for the original.

    \b
    Examples:
      flask users add anna
      flask users add cron --token --expires 90d --json
      flask users add shop --wsse --compatible --team shop
      flask users add sync --oauth
    """
    wanted = Rights(**_given(rights))
    new = manage.add_user(
        current_context(),
        name,
        with_wsse=with_wsse,
        with_token=with_token,
        with_oauth=with_oauth,
        expires=expires,
        rights=wanted,
    )
    _note("user added", added=name, kinds=new.kinds, **manage.told(wanted, new.token_expires_at))
    _show(new, as_json)


@group.command("set")
@click.argument("name")
@_rights
@_replay
@_expires
@_json
def set_(name: str, expires: str | None, as_json: bool, **rights: str | int | bool | None) -> None:
    """Change a user without new credentials. What is not named does not change.

    \b
    Examples:
      flask users set shop --compatible
      flask users set cron --requests-per-minute 60 --exports default
      flask users set cron --expires 2027-01-31
    """
    changes = _given(rights)
    if not changes and expires is None:
        raise UsageError("Nothing to change: name at least one option, see `flask users set --help`")
    user = _changed(name, expires, changes)
    if as_json:
        click.echo(json.dumps(asdict(user), default=datetime.isoformat))
    else:
        _print_table([user])


@group.command()
@click.argument("name")
@click.argument("role", type=click.Choice([OPERATOR, VIEWER, "none"]))
def role(name: str, role: str) -> None:
    """Make a user an operator, a viewer, or a user of its team only (`none`).

    An operator sees and changes the exports and feeds of every team, and the users. A viewer sees the same and changes
    nothing. Both hold for the API and for the console.

    \b
    Examples:
      flask users role anna operator
      flask users role anna none
    """
    rights = {"operator": role == OPERATOR, "viewer": role == VIEWER}
    _print_table([_changed(name, None, rights)])


@group.command()
@click.argument("name")
@_credentials
def rotate(name: str, as_json: bool, **changes: Any) -> None:
    """Replace the credentials of a user and print the new ones. The old ones end at once.

    Without --wsse, --token and --oauth all credentials of the user are replaced. Without --expires a new token keeps
    the date of the old one. Without --replay that does not change. An OAuth client keeps its id, and its access tokens
    end with the old secret.

    \b
    Examples:
      flask users rotate anna
      flask users rotate cron --token --expires 2027-01-31
      flask users rotate sync --oauth
    """
    new = manage.rotate_user(current_context(), name, **changes)
    _note("credentials replaced", changed=name, kinds=new.kinds, replay=changes["replay"])
    _show(new, as_json)


@group.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End the credentials and access tokens of a user at once. Accepted exports continue.

    \b
    Example:
      flask users revoke anna
    """
    manage.revoke_user(current_context(), name)
    _note("user revoked", changed=name)
    click.echo(f"revoked {name}")


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(as_json: bool) -> None:
    """List all users, revoked ones included, without their secrets.

    \b
    Example:
      flask users list --json
    """
    users = manage.list_users(current_context())
    if as_json:
        click.echo(json.dumps([asdict(user) for user in users], default=datetime.isoformat, indent=2))
    else:
        _print_table(users)


def _changed(name: str, expires: str | None, rights: dict[str, Any]) -> ApiUser:
    user = manage.set_user(current_context(), name, expires, rights)
    _note("user changed", changed=name, **manage.told(user.rights, user.token_expires_at))
    return user


def _note(event: str, **values: Any) -> None:
    """Writes a line of the audit log, as the console does. Other lines of commands are warnings only."""
    level = audit.logger.level
    audit.logger.setLevel(current_context().settings.log_level)
    audit.note(event, user=current_operator().name, by="command line", **values)
    audit.logger.setLevel(level)


def _given(rights: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that were named. A limit of 0 becomes None: the user has none of its own.

    Whoever becomes an operator is no viewer any more, and the other way round. Raises UsageError for both at once.
    """
    if rights["operator"] and rights["viewer"]:
        raise UsageError("A user is either an operator or a viewer: give --operator or --viewer")
    if rights["operator"] or rights["viewer"]:
        rights = rights | {"operator": bool(rights["operator"]), "viewer": bool(rights["viewer"])}
    limits = {"requests_per_minute", "exports_per_user"}
    return {name: value or None if name in limits else value for name, value in rights.items() if value is not None}


def _print_table(users: list[ApiUser]) -> None:
    rows: list[tuple[str, ...]] = [HEADER]
    for user in users:
        credentials = (("wsse", user.has_wsse), ("token", user.has_token), ("oauth", user.has_oauth))
        rights = (("operator", user.operator), ("viewer", user.viewer), ("compatible", user.compatible))
        rows.append(
            (
                user.name,
                user.team,
                *("+".join(name for name, has in named if has) or "-" for named in (credentials, rights)),
                str(user.requests_per_minute or "default"),
                str(user.exports_per_user or "default"),
                _shown(user.token_expires_at),
                user.replay,
                _shown(user.created_at),
                _shown(user.revoked_at),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _shown(at: datetime | None) -> str:
    return f"{at:%F %T}Z" if at else "-"


def _show(new: NewCredentials, as_json: bool) -> None:
    values = {key: value for key, value in asdict(new).items() if as_json or value is not None}
    if as_json:
        click.echo(json.dumps(values, default=datetime.isoformat))
        return
    for key, value in values.items():
        click.echo(f"{key:<16}  {_shown(value) if isinstance(value, datetime) else value}")
    click.echo("Store them now: they are not shown again.", err=True)
