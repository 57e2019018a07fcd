"""`flask origins`: the forms and API sources that contacts come from."""

import json
import re
from dataclasses import asdict

import click

from contactexport.catalogue import Catalogue
from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.cli.listing import print_table
from contactexport.contacts import origins

group = CommandGroup("origins", help="Forms and API sources: where contacts come from.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Origin(click.ParamType[tuple[str, int]]):
    """An origin such as form:123."""

    name = "form:ID|api:ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Kind and id. Refuses anything else in one line."""
        match = re.fullmatch(r"(form|api):([0-9]{1,9})", str(value))
        if match is None:
            self.fail(f"{value!r} is not an origin: form:ID or api:ID expected, for example form:123", param, ctx)
        return match[1], int(match[2])


@group.command()
@click.argument("origin", type=Origin(), metavar="form:ID|api:ID")
@click.argument("name")
@_json
def add(origin: tuple[str, int], name: str, as_json: bool) -> None:
    """Add a form or an API source. Contacts without a source belong to api:0.

    \b
    Example:
      flask origins add form:123 "Newsletter registration"
    """
    with current_context().contacts.transaction() as conn:
        origins.add(conn, *origin, name)
    _show(origin, name, "added", as_json)


@group.command()
@click.argument("origin", type=Origin(), metavar="form:ID|api:ID")
@click.argument("name")
@_json
def rename(origin: tuple[str, int], name: str, as_json: bool) -> None:
    """Give a form or an API source another name.

    \b
    Example:
      flask origins rename form:123 "Newsletter"
    """
    with current_context().contacts.transaction() as conn:
        origins.rename(conn, *origin, name)
    _show(origin, name, "renamed", as_json)


@group.command("list")
@_json
def list_(as_json: bool) -> None:
    """List all forms and API sources.

    \b
    Example:
      flask origins list --json
    """
    with current_context().contacts.transaction() as conn:
        found = Catalogue.read(conn).origins
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=2))
    else:
        print_table(("origin", "name"), [(f"{one.kind}:{one.id}", one.name) for one in found])


def _show(origin: tuple[str, int], name: str, done: str, as_json: bool) -> None:
    kind, number = origin
    if as_json:
        click.echo(json.dumps({"kind": kind, "id": number, "name": name.strip()}, ensure_ascii=False))
    else:
        click.echo(f"{done} {kind}:{number} {name.strip()}")
