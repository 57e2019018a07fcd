"""`flask contacts prune`: drops old months of the change log."""

from datetime import UTC, datetime

import click

from contactexport.cli.backend import current_backend
from contactexport.services import prune_changes


@click.command()
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="YYYY-MM-DD, UTC.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    help="Seconds to try while the log is in use.",
)
def prune(before: datetime, patience: float) -> None:
    """Drop the change log of months that ended before a date; contacts stay.

    Exports of time ranges in those months find nothing afterwards. Nobody who changes contacts is held up: while an
    export reads the log, it is tried again and again.

    \b
    Example:
      flask contacts prune --before 2026-01-01
    """
    backend, moment = current_backend(), before.replace(tzinfo=UTC)
    for month in prune_changes.prune(backend, moment, patience):
        click.echo(f"dropped {month}")
    deleted = prune_changes.delete_strays(backend, moment)
    click.echo(f"done, {deleted} changes outside any month deleted")
