"""`flask fields`: the fields of contacts."""

import json
import re
from dataclasses import asdict, replace
from typing import Any

import click

from contactexport.catalogue import Catalogue, ContactField, list_choices
from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.cli.listing import print_table
from contactexport.contact_import.header import FieldNames
from contactexport.contacts import fields
from contactexport.contacts.fields import NewField
from contactexport.errors import UsageError
from contactexport.system_fields import APPLICATION_TYPES, find

group = CommandGroup("fields", help="The fields of contacts, with their names.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@group.command()
@click.argument("field", metavar="ID|NAME")
@click.argument("name", required=False)
@click.option("--type", "application_type", type=click.Choice(APPLICATION_TYPES), help="Type.  [default: shorttext]")
@click.option("--column", help="Its column in `contact`.  [default: by its name]")
@click.option("--choice", "choices", multiple=True, metavar="ID=LABEL", help="A choice. Repeatable.")
@_json
def add(field: str, name: str | None, as_json: bool, choices: tuple[str, ...], **wanted: str | None) -> None:
    """Add a field to the catalogue, and its column to the program's own table.

    A system field of the original is named by its id or name, and has its type and choices. A custom field is named by
    an id and a name, or by a name only: then it gets the first free id from 100000 on. With --choice its type is
    singlechoice unless --type says multichoice.

    \b
    Examples:
      flask fields add email
      flask fields add 106533 "Loyalty number"
      flask fields add "Shoe size" --type numeric
      flask fields add 106534 Status --choice 1=Active --choice 2=Closed
    """
    with current_context().contacts.transaction() as conn:
        new = _new(Catalogue.read(conn), field, name)
        if choices:
            new = replace(new, application_type="singlechoice", choices=_read_choices(choices))
        kind = wanted["application_type"] or new.application_type
        added = fields.add(conn, replace(new, application_type=kind, column_name=wanted["column"] or new.column_name))
    _show(added, "added", as_json)


@group.command()
@click.argument("field", metavar="ID|NAME")
@click.argument("name")
@click.option("--language", default="en", show_default=True, help="Language of the name, such as de.")
@_json
def rename(field: str, name: str, language: str, as_json: bool) -> None:
    """Give a field another name in a language. Its id and its column stay.

    \b
    Examples:
      flask fields rename 106533 "Loyalty no."
      flask fields rename 106533 Treuenummer --language de
    """
    with current_context().contacts.transaction() as conn:
        found = FieldNames(Catalogue.read(conn)).find(field)
        fields.rename(conn, found.id, name, language)
        renamed = Catalogue.read(conn).fields[found.id]
    _show(renamed, "renamed", as_json)


@group.command()
@click.argument("names", metavar="ID|NAME...", nargs=-1)
@click.option("--all", "all_fields", is_flag=True, help="All fields, such as those of the sample catalogue.")
@_json
def remove(names: tuple[str, ...], all_fields: bool, as_json: bool) -> None:
    """Take fields out of the catalogue. Their columns and values stay.

    \b
    Examples:
      flask fields remove 106533
      flask fields remove --all
    """
    if bool(names) == all_fields:
        raise UsageError("Name the fields to remove, or --all")
    with current_context().contacts.transaction() as conn:
        catalogue = Catalogue.read(conn)
        known = FieldNames(catalogue)
        found = [*catalogue.fields.values()] if all_fields else [known.find(name) for name in names]
        for one in found:
            fields.remove(conn, one.id)
    if as_json:
        click.echo(json.dumps({"removed": [one.id for one in found]}))
    else:
        click.echo(f"removed {len(found)} fields" if len(found) != 1 else f"removed {found[0].id} {found[0].name}")


@group.command("list")
@click.option("--language", default="en", show_default=True, help="Language of names and labels.")
@_json
def list_(language: str, as_json: bool) -> None:
    """List the fields of contacts. With --json their choices, too.

    \b
    Example:
      flask fields list --language de
    """
    with current_context().contacts.transaction() as conn:
        found = [*Catalogue.read(conn).fields.values()]
        choices = {one.id: list_choices(conn, one.id, language) for one in found} if as_json else {}
    if as_json:
        told = [_values(one) | {"choices": dict(choices[one.id])} for one in found]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    rows = [
        (str(one.id), one.name_in(language), one.application_type, one.column_name, "" if one.exportable else "no")
        for one in found
    ]
    print_table(("id", "name", "type", "column", "exportable"), rows)


def _new(catalogue: Catalogue, field: str, name: str | None) -> NewField:
    """The field as asked for, before the options change it."""
    system = find(field)
    if system is not None:
        new = NewField.of_system(system)
        return replace(new, name=name, names={"en": name}) if name else new
    if not re.fullmatch("[0-9]+", field):
        if name is not None:
            raise UsageError(f"{field} is not the id of a field: ID NAME, or only NAME expected")
        return fields.custom(catalogue, field)
    if int(field) >= 2**31:
        raise UsageError(f"The id {field} is too large: at most {2**31 - 1} expected")
    if name is None:
        raise UsageError(f"{field} is not the id of a system field: a name expected behind it")
    return NewField(int(field), name)


def _read_choices(texts: tuple[str, ...]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for text in texts:
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*=\s*(.*\S)\s*", text)
        if match is None:
            raise UsageError(f"--choice {text!r}: ID=LABEL expected, such as 1=Active")
        if int(match[1]) in found:
            raise UsageError(f"--choice {text!r}: the id {match[1]} is given twice")
        found[int(match[1])] = {"en": match[2]}
    return found


def _values(one: ContactField) -> dict[str, Any]:
    return asdict(one) | {"names": dict(one.names)}


def _show(one: ContactField, done: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_values(one), ensure_ascii=False))
    else:
        click.echo(f"{done} {one.id} {one.name} ({one.application_type}, column {one.column_name})")
