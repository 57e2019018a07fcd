"""One line on stderr and the right exit code for every expected error; no traceback for a user's mistake."""

from typing import Any

import click
from flask.cli import AppGroup

from contactexport.errors import ContactExportError


class CommandGroup(AppGroup):
    """A group whose commands turn our errors into `Error: <text>` and the error's exit code (0, 1, 2 or 3)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except ContactExportError as error:
            click.echo(f"Error: {error.text}", err=True)
            ctx.exit(error.exit_code)
