"""`flask contacts check`: what would not be captured."""

import json
from dataclasses import asdict

import click

from contactexport.adopt import check as capture_check
from contactexport.cli.current import current_context


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(command: click.Context, as_json: bool) -> None:
    """Find changes of contacts that would not be logged, and contacts that cannot be read.

    Prints one line for each finding, with its remedy. Exit code 1 if there are any.

    \b
    Example:
      flask contacts check
    """
    found = capture_check.check(current_context())
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=2))
    elif found:
        for one in found:
            click.echo(f"{one.what}: {one.remedy}")
    else:
        click.echo("ok: every change of contacts is logged")
    command.exit(1 if found else 0)
