"""`flask contacts adopt` and `flask contacts release`: a table of customers becomes contacts, and is released again."""

from pathlib import Path
from typing import Any

import click

from contactexport.cli.current import current_context
from contactexport.errors import UsageError

_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("table", required=False)
@click.option("--key", metavar="COLUMN", help="Unique column, an integer or a UUID.  [default: the primary key]")
@click.option("--origin", metavar="form|api=COLUMN", help="The id of the form or API source of each contact.")
@click.option("--origin-through", metavar="TABLE(KEY, ID)", help="Table of memberships, for contacts of many origins.")
@click.option("--origin-names", metavar="TABLE(ID, NAME)", help="Table of the origins' names.")
@click.option(
    "--field", "fields", multiple=True, metavar="ID=SQL[:VALUE=CHOICE,…]", help="A field and its value. Repeatable."
)
@click.option("--join", "joins", multiple=True, metavar="TABLE ON CONDITION", help="One more table. Repeatable.")
@click.option("--where", metavar="CONDITION", help="Which rows are contacts.")
@click.option("--view", metavar="FILE", type=_file, help="A SELECT of yours instead of a table. It gives id.")
@click.option("--plan", metavar="FILE", type=_file, help="All of this from a TOML file.")
@click.option("--write-plan", metavar="FILE", type=_file, help="Write such a file to edit, and do nothing else.")
@click.option("--first-export", is_flag=True, help="Log every contact once, so that the first window has all of them.")
@click.option("--dry-run", is_flag=True, help="Print the mapping and the SQL, change nothing.")
@_yes
@_json
def adopt(**options: Any) -> None:
    """Make a table of your own the contacts that are exported, and log its changes from now on.

    Prints the SQL, and which field stands for which column, and asks. Without --field every column becomes a field:
    those with known names (email, first_name, birthday, country …) system fields, the others custom fields from
    100000 on. Then everything is done in one transaction, or nothing. Your table gets triggers only. Run it again
    with another mapping to change it, or `flask contacts release` to undo it.

    A field is the id of a field, or a name of a system field. Its value is any SQL expression over the tables. Values
    of a choice are translated to the ids of choices: 5=sex:m=1,f=2. Put a value in single quotes if it has a comma.

    \b
    Examples:
      flask contacts adopt customer --dry-run
      flask contacts adopt customer --key customer_no --origin form=signup_form \\
          --field 1=given_name --field 3=mail --field 5=sex:m=1,f=2 --field "106540=attribs->>'shoe size'"
      flask contacts adopt subscribers --key id --origin-through "subscriber_lists(subscriber_id, list_id)" \\
          --origin-names "lists(id, name)"
      flask contacts adopt auth_user --key id --join "profile ON profile.user_id = auth_user.id" --where is_active
      flask contacts adopt --view contact_view.sql
      flask contacts adopt customer --write-plan mapping.toml
      flask contacts adopt --plan mapping.toml --yes --json
    """
    from contactexport.cli import adopt_run  # it imports a parser of SQL, which only this command needs

    try:
        adopt_run.adopt(current_context(), **options)
    except RecursionError:
        raise UsageError("The SQL is nested too deeply to be understood: write it plainer") from None
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object[error.start : error.end]!r} is no character of UTF-8") from None


@click.command()
@_yes
@_json
def release(yes: bool, as_json: bool) -> None:
    """Undo `flask contacts adopt`: your table is as it was, and the program has its own empty table again.

    Takes away the triggers, the view, the fields and origins of the catalogue, and the log of the changes.

    \b
    Example:
      flask contacts release --yes
    """
    from contactexport.cli import adopt_run

    adopt_run.release(current_context(), yes=yes, as_json=as_json)
