"""The commands `flask export | contacts | users | db | serve`."""

from flask import Flask

from contactexport.cli import db_commands


def init_app(app: Flask) -> None:
    """Adds the commands to an application."""
    app.cli.add_command(db_commands.group)
