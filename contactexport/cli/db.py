"""`flask db`: schema, connection and the embedded server."""

import click

from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.db import migrate
from contactexport.embedded import postgres
from contactexport.secrets.encrypt_urls import encrypt_urls

group = CommandGroup("db", help="The database: its schema, its address, the embedded server.")


@group.command()
def upgrade() -> None:
    """Upgrade the schema of the database to the version of this program.

    Safe to repeat, and to run by several processes at once.

    \b
    Example:
      flask db upgrade
    """
    for database in current_context().databases:
        before, after = migrate.upgrade(database)
        if migrate.schema_open_to_all(database):
            click.echo(
                f"Warning: every role may create functions in the schema {database.schema}, and this program would run "
                f"them. REVOKE CREATE ON SCHEMA {database.schema} FROM PUBLIC ends that (docs/operations.md, Roles)",
                err=True,
            )
        click.echo(f"schema {after}" + (" (unchanged)" if before == after else f" (was {before or 'empty'})"))
    if encrypted := encrypt_urls(current_context()):
        click.echo(f"{encrypted} notification URLs with credentials are encrypted now")


@group.command()
@click.pass_context
def current(command: click.Context) -> None:
    """Print the version of the schema, and the parts of that version that are missing.

    The exit code is 1 when a part is missing, or when this program expects another version.

    \b
    Example:
      flask db current
    """
    lacking = False
    for database in current_context().databases:
        migrate.check(database)
        click.echo(f"{database.schema}: {migrate.current_version(database)}")
        for part in migrate.differences(database):
            lacking = True
            click.echo(f"lacking in {database.schema}: {part}", err=True)
    command.exit(int(lacking))


@group.command()
def url() -> None:
    """Print the URL of the connection in use. Starts the embedded Postgres if that is the one.

    \b
    Example:
      URL=$(flask db url) && psql "$URL"
    """
    click.echo(current_context().database.url)


@group.command()
def stop() -> None:
    """Stop the embedded Postgres that an earlier command started.

    \b
    Example:
      flask db stop
    """
    settings = current_context().settings
    if settings.database_url is not None:
        raise click.UsageError("CONTACTEXPORT_DATABASE_URL is set: that server is not ours to stop")
    click.echo("stopped" if postgres.stop(settings.data_dir) else "not running")
