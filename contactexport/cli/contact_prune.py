"""`flask contacts prune`: drops old months of the change log."""

import sys
from datetime import UTC, datetime

import click

from contactexport.changes import prune as prune_log
from contactexport.cli.current import current_context
from contactexport.errors import UsageError


@click.command()
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="YYYY-MM-DD, UTC.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    help="Seconds to try while the log is in use.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(before: datetime, patience: float, dry_run: bool, yes: bool) -> None:
    """Drop the change log of months that ended before a date. Contacts stay.

    Exports of time ranges that begin in those months are refused afterwards, unless they ask for what is left
    (--may-be-incomplete). Nobody who changes contacts has to wait. While an export reads the log, this command retries.

    \b
    Example:
      flask contacts prune --before 2026-01-01 --dry-run
      flask contacts prune --before 2026-01-01
    """
    context, moment = current_context(), before.replace(tzinfo=UTC)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError("There is no terminal to ask on: --yes or --dry-run expected")
    prune_log.require_past(context, moment)
    if dry_run or not yes:
        found = prune_log.prunable(context, moment)
        for month, changes in found.months.items():
            click.echo(f"{month}: about {changes:,} changes")
        click.echo(f"outside any month: about {found.strays:,} changes")
        if found.removals:
            click.echo(f"deleted or moved contacts: about {found.removals:,} entries")
    if dry_run:
        return
    if not yes:
        click.confirm("Drop this? Exports of windows that begin there will be refused", abort=True, err=True)
    for month in prune_log.prune(context, moment, patience):
        click.echo(f"dropped {month}")
    deleted = prune_log.delete_strays(context, moment)
    click.echo(f"done, {deleted} changes outside any month deleted")
