"""`flask feeds`: standing exports. Add, list, show, change, run, pause, resume, reset and delete them."""

import json
from collections.abc import Callable
from typing import Any

import click

from contactexport.api.feed_schemas import read_start
from contactexport.cli import feed_options
from contactexport.cli.current import current_context, current_operator
from contactexport.cli.delivery_options import delivery_options
from contactexport.cli.errors import CommandGroup
from contactexport.cli.exports import finish_here
from contactexport.cli.listing import print_table
from contactexport.errors import UsageError
from contactexport.feeds import manage, status, store
from contactexport.feeds import run as feed_run
from contactexport.feeds.models import Feed
from contactexport.files import storage_check
from contactexport.users.models import DEFAULT_TEAM

Options = Callable[[Callable[..., Any]], Callable[..., Any]]

group = CommandGroup("feeds", help="Feeds: standing exports. Each file begins where the last delivered one ended.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_team = click.option("--team", help="Of this team. Needed only if several teams have a feed of this name.")
_schedule = click.option(
    "--schedule", metavar="CRON", help="Such as '0 2 * * *', in the service's time zone. Or none: only when asked."
)
_language = click.option("--language", help="Language of header and labels, for example en.")
_delimiter = click.option("--delimiter", type=click.Choice([",", ";"]), help="Between two values. Default: a comma.")


def _named(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and options of a command about one feed."""
    return click.argument("name")(_team(_json(command)))


@group.command()
@click.argument("name")
@click.option("--origin", required=True, type=click.Choice(["form", "api", "all"]), help="Where contacts come from.")
@click.option("--origin-id", help="Ids of forms or API sources, separated by commas. Not for `all`.")
@click.option("--fields", required=True, help="Contact fields by id or name, separated by commas.")
@click.option("--removed", is_flag=True, help="Also contacts that were deleted or left, and a column `change`.")
@click.option("--origin-column", is_flag=True, help="Add a column `origin`, such as form:123.")
@_schedule
@click.option("--from", "start", metavar="DATE", help="Start there, instead of with a file of all contacts.")
@_delimiter
@_language
@click.option("--header/--no-header", default=True, show_default=True, help="Write the field names first.")
@delivery_options
@click.option("--notify", is_flag=True, default=None, help="Call a URL after each run. Asks for it.")
@click.option("--team", default=DEFAULT_TEAM, show_default=True, help="Users of this team see the feed.")
@_json
def add(as_json: bool, team: str, **options: Any) -> None:
    """Add a feed. Its first file has every contact, each later one what changed since.

    The password is read from the environment variable FTP_PASSWORD or SFTP_PASSWORD, or asked for on the terminal, the
    notification URL from NOTIFICATION_URL. Without --ftp and --sftp the files stay in the storage folder, to be pulled
    over the API.

    \b
    Examples:
      flask feeds add nightly --origin form --origin-id 123 --fields 1,3,106533 --removed --schedule '0 2 * * *'
      flask feeds add crm --origin all --fields email,first_name --removed --ftp ftps://anna@ftp.example.com/in
    """
    context = current_context()
    asked = feed_options.wanted(context, options)
    _print(manage.add(context, asked, current_operator(), team), as_json)


@group.command("list")
@click.option("--team", help="Only those of this team.")
@_json
def list_(team: str | None, as_json: bool) -> None:
    """List the feeds of all teams.

    \b
    Example:
      flask feeds list --json
    """
    context = current_context()
    with context.database.autocommit() as conn:
        found = [status.payload(context, feed) for feed in store.visible(conn, current_operator(), team)]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    rows = []
    for one in found:
        state = "paused" if one["paused"] else f"running: {one['running']}" if one["running"] else "waiting"
        late = ", late" if one["late"] else ""
        shown = (one[key] for key in ("schedule", "next_run", "cursor"))
        values = (one["name"], one["team"], state + late, str(one["sequence"]), *(value or "" for value in shown))
        rows.append((*values, one["pause_reason"] or ""))
    print_table(("name", "team", "state", "sequence", "schedule", "next run", "cursor", "why paused"), rows)


@group.command()
@_named
def show(name: str, team: str | None, as_json: bool) -> None:
    """Show one feed: its settings, and where it stands.

    \b
    Example:
      flask feeds show nightly --json
    """
    _print(_find(name, team), as_json)


@group.command("set")
@click.argument("name")
@_schedule
@click.option("--fields", help="Contact fields by id or name. The next file then has every contact.")
@click.option("--removed/--no-removed", default=None, help="The same for deleted and moved contacts.")
@_delimiter
@_language
@click.option("--header/--no-header", default=None, help="Write the field names first.")
@delivery_options
@click.option("--password", is_flag=True, help="Ask for a new FTP or SFTP password.")
@click.option("--notify/--no-notify", default=None, help="Call a URL after each run. Asks for it.")
@_team
@_json
def set_(name: str, team: str | None, as_json: bool, **options: Any) -> None:
    """Change a feed. A run that is under way keeps its settings, but takes a new password.

    \b
    Examples:
      flask feeds set nightly --schedule '30 3 * * 1-5'
      flask feeds set nightly --password
    """
    context, feed = current_context(), _find(name, team)
    asked, kept = feed_options.changed(context, feed, options)
    _print(manage.change(context, feed, asked, current_operator(), same=kept), as_json)


@group.command()
@_named
def run(name: str, team: str | None, as_json: bool) -> None:
    """Run a feed now, in this process. Refused while its last run is unfinished (exit code 3).

    \b
    Example:
      flask feeds run nightly
    """
    context, feed = current_context(), _find(name, team)
    storage_check.require_storage(context)
    finish_here(context, feed_run.start(context, feed.id), None, as_json)


@group.command()
@_named
def pause(name: str, team: str | None, as_json: bool) -> None:
    """Pause a feed. Nothing is lost: the run after the pause exports what has changed meanwhile.

    \b
    Example:
      flask feeds pause nightly
    """
    _print(manage.pause(current_context(), _find(name, team), current_operator()), as_json)


@group.command()
@_named
def resume(name: str, team: str | None, as_json: bool) -> None:
    """End the pause of a feed, and accept its new columns if it has paused because of them.

    \b
    Example:
      flask feeds resume nightly
    """
    _print(manage.resume(current_context(), _find(name, team), current_operator()), as_json)


@group.command()
@click.option("--from", "start", metavar="DATE", help="The next file starts there.")
@click.option("--full", is_flag=True, help="The next file has every contact.")
@_named
def reset(name: str, team: str | None, start: str | None, full: bool, as_json: bool) -> None:
    """Set where the next file of a feed starts. An unfinished run is cancelled.

    \b
    Examples:
      flask feeds reset nightly --full
      flask feeds reset nightly --from 2012-02-09
    """
    if full == (start is not None):
        raise UsageError("Either --from DATE or --full expected")
    context, feed = current_context(), _find(name, team)
    begin = None if start is None else read_start(start, context.settings.time_zone)
    _print(manage.reset(context, feed, begin, current_operator()), as_json)


@group.command()
@click.argument("name")
@_team
def delete(name: str, team: str | None) -> None:
    """Delete a feed and cancel its unfinished run. Its exports and files stay.

    \b
    Example:
      flask feeds delete nightly
    """
    manage.delete(current_context(), _find(name, team), current_operator())
    click.echo(f"The feed {name} is deleted")


def _find(name: str, team: str | None) -> Feed:
    with current_context().database.autocommit() as conn:
        return store.get_visible(conn, name, current_operator(), team)


def _print(feed: Feed, as_json: bool) -> None:
    shown = status.payload(current_context(), feed)
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    shown["columns"] = [name for _, name in feed.columns or ()]
    shown["cursor"] = shown["cursor"] or "none: the next file has every contact"
    for key, value in shown.items():
        if value not in (None, []) and value is not False:
            listed = list(value.values()) if isinstance(value, dict) else value
            click.echo(f"{key}: {', '.join(map(str, listed)) if isinstance(listed, list) else listed}")
