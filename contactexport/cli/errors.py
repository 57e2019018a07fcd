"""Ends a command with one line on stderr and the exit code of the error. Users see no tracebacks for their mistakes."""

import logging
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from contactexport import log_context
from contactexport.errors import ContactExportError


class Command(click.Command):
    """A command outside any group. It ends like those of a CommandGroup."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command inside the application context."""
        return _ended_well(ctx, with_appcontext(super().invoke), ctx)


class PlainCommand(click.Command):
    """A command that needs no application, and so neither settings nor a database."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        return _ended_well(ctx, super().invoke, ctx)


class CommandGroup(AppGroup):
    """A group whose commands turn our errors into `Error: <text>` and the error's exit code (0, 1, 2 or 3)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. The log has warnings only, because the output tells what happened."""
        logger = logging.getLogger("contactexport")
        if logger.level == logging.INFO:
            logger.setLevel(logging.WARNING)
        return _ended_well(ctx, super().invoke, ctx)


def _ended_well(ctx: click.Context, run: Any, *arguments: Any) -> Any:
    if log_context.request_id() is None:  # a command in another one has the same id
        log_context.begin()
    try:
        return run(*arguments)
    except ContactExportError as error:
        click.echo(f"Error: {error.text}" + (f" {error.hint}" if error.hint else ""), err=True)
        ctx.exit(error.exit_code)
