"""`flask db`: schema, connection and the embedded server."""

import click

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.embedded import postgres
from contactexport.services.encrypt_urls import encrypt_urls

group = CommandGroup("db", help="The database: its schema, its address, the embedded server.")


@group.command()
def upgrade() -> None:
    """Bring the database's schema to this program's version.

    Safe to run again and by several processes at once.

    \b
    Example:
      flask db upgrade
    """
    from contactexport.db import migrate  # Alembic takes a while to import, and only this command needs it

    for database in current_backend().databases:
        before, after = migrate.upgrade(database)
        if migrate.schema_open_to_all(database):
            click.echo(
                f"Warning: every role may create functions in the schema {database.schema}, for this program to run. "
                f"REVOKE CREATE ON SCHEMA {database.schema} FROM PUBLIC ends that (docs/operations.md, Roles)",
                err=True,
            )
        click.echo(f"schema {after}" + (" (unchanged)" if before == after else f" (was {before or 'empty'})"))
    if encrypted := encrypt_urls(current_backend()):
        click.echo(f"{encrypted} notification URLs with credentials are encrypted now")


@group.command()
@click.pass_context
def current(context: click.Context) -> None:
    """Print the schema's version, and what the schema lacks of it.

    Exit code 1 when it lacks something, or when it is not the version of this program.

    \b
    Example:
      flask db current
    """
    from contactexport.db import migrate

    lacking = False
    for database in current_backend().databases:
        migrate.check(database)
        click.echo(f"{database.schema}: {migrate.current_version(database)}")
        for part in migrate.differences(database):
            lacking = True
            click.echo(f"lacking in {database.schema}: {part}", err=True)
    context.exit(int(lacking))


@group.command()
def url() -> None:
    """Print the connection in use; starts the embedded Postgres when that is the one.

    \b
    Example:
      URL=$(flask db url) && psql "$URL"
    """
    click.echo(current_backend().database.url)


@group.command()
def stop() -> None:
    """Stop the embedded Postgres that an earlier command has started.

    \b
    Example:
      flask db stop
    """
    settings = current_backend().settings
    if settings.database_url is not None:
        raise click.UsageError("CONTACTEXPORT_DATABASE_URL is set: that server is not ours to stop")
    click.echo("stopped" if postgres.stop(settings.data_dir) else "not running")
