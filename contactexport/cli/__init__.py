"""The commands `flask export | contacts | users | hosts | secrets | storage | db | serve`."""

from flask import Flask

from contactexport.cli import (
    contact_commands,
    db_commands,
    export_commands,
    host_commands,
    secret_commands,
    serve_command,
    storage_commands,
    user_commands,
)


def init_app(app: Flask) -> None:
    """Adds the commands to an application."""
    for commands in (
        export_commands,
        contact_commands,
        user_commands,
        host_commands,
        secret_commands,
        storage_commands,
        db_commands,
    ):
        app.cli.add_command(commands.group)
    app.cli.add_command(serve_command.serve)
