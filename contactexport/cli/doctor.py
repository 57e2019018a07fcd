"""`flask doctor`: everything this installation needs, a line for each part."""

import json
from dataclasses import asdict

import click

from contactexport import doctor as examination
from contactexport.cli.current import current_context
from contactexport.cli.errors import Command


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(command: click.Context, as_json: bool) -> None:
    """Look at database, rights, contacts, storage, key, broker, clock and workers: one line each, ok or what to do.

    What does not answer is told, and the others are looked at all the same. Exit code 1 if anything is to be done.

    \b
    Example:
      flask doctor
    """
    lines = examination.examine(current_context())
    if as_json:
        click.echo(json.dumps([asdict(one) for one in lines], ensure_ascii=False, indent=2))
    else:
        width = max(len(one.part) for one in lines)
        for one in lines:
            click.echo(f"{one.state:9}  {one.part:{width}}  {one.text}" + (f": {one.remedy}" if one.remedy else ""))
    command.exit(int(any(one.state == examination.TO_DO for one in lines)))
