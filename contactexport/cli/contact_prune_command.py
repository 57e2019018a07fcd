"""`flask contacts prune`: drops old months of the change log."""

from datetime import UTC, datetime

import click

from contactexport.cli.backend import current_backend
from contactexport.db import change_repository


@click.command()
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="YYYY-MM-DD, UTC.")
def prune(before: datetime) -> None:
    """Drop the change log of months that ended before a date; contacts stay.

    Exports of time ranges in those months find nothing afterwards.

    \b
    Example:
      flask contacts prune --before 2026-01-01
    """
    with current_backend().contacts.transaction() as conn:
        months, deleted = change_repository.drop_log(conn, before.replace(tzinfo=UTC))
    click.echo(f"{len(months)} months dropped" + (f": {', '.join(months)}" if months else ""))
    if deleted:
        click.echo(f"{deleted} changes outside any month deleted")
