"""`flask contacts prune`: drops old months of the change log."""

import sys
from datetime import UTC, datetime

import click

from contactexport.cli.backend import current_backend
from contactexport.errors import UsageError
from contactexport.services import prune_changes
from contactexport.services.prune_changes import Prunable


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
    """Drop the change log of months that ended before a date; contacts stay.

    Exports of time ranges that begin in those months are refused afterwards, unless they ask for what is left
    (--may-be-incomplete). Nobody who changes contacts is held up: while an export reads the log, it is tried again and
    again.

    \b
    Example:
      flask contacts prune --before 2026-01-01 --dry-run
      flask contacts prune --before 2026-01-01
    """
    backend, moment = current_backend(), before.replace(tzinfo=UTC)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError("Without a terminal nobody can be asked: --yes or --dry-run expected")
    prune_changes.require_past(backend, moment)
    if dry_run or not yes:
        _show(prune_changes.prunable(backend, moment))
    if dry_run:
        return
    if not yes:
        click.confirm("Drop this? Exports of windows that begin there will be refused", abort=True, err=True)
    for month in prune_changes.prune(backend, moment, patience):
        click.echo(f"dropped {month}")
    deleted = prune_changes.delete_strays(backend, moment)
    click.echo(f"done, {deleted} changes outside any month deleted")


def _show(found: Prunable) -> None:
    for month, changes in found.months.items():
        click.echo(f"{month}: about {changes:,} changes")
    click.echo(f"outside any month: about {found.strays:,} changes")
