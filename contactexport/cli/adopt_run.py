"""What `flask contacts adopt` and `release` do: read the options, look, print, ask, apply."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from contactexport.adopt import plan_file
from contactexport.adopt.apply import apply, statements
from contactexport.adopt.inspect import inspection
from contactexport.adopt.models import OnStep, Plan
from contactexport.adopt.release import release as release_contacts
from contactexport.adopt.resolve import Prepared, prepare
from contactexport.adopt.sql_text import read_join, read_select
from contactexport.cli.adopt_options import read_field, read_origin
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.errors import UsageError

SHOWN_VALUES = 6
# They say what a plan says already.
OF_PLAN = ("table", "key", "origin", "origin_through", "origin_names", "fields", "joins", "where", "view")


def adopt(context: Context, **options: Any) -> None:
    """Carries out the command. Raises UsageError, and what the steps raise."""
    write_to, as_json, dry_run = options["write_plan"], options["as_json"], options["dry_run"]
    if not (dry_run or write_to or options["yes"]):
        _require_somebody("--yes, --dry-run or --write-plan")
    wishes, asked = [read_field(text) for text in options["fields"]], _asked(options)
    with _steps() as on_step:
        with inspection(context.contacts, on_step) as looking:
            found = prepare(looking, asked, wishes)
            has_schema = looking.has_schema
        if write_to:
            plan_file.write(found.plan, write_to)
        elif not dry_run:
            on_step("upgrading the schema")
            for database in context.databases:
                migrate.upgrade(database)
        on_step("making the SQL")
        told = _statements(context, found.plan) if not write_to and (has_schema or not dry_run) else []
    result: dict[str, Any] = {"plan": plan_file.to_values(found.plan), "notes": list(found.notes), "statements": told}
    if not as_json:
        _print_plan(found, told)
    if not (dry_run or write_to):
        if not options["yes"]:
            click.confirm("Adopt this table?", abort=True, err=True)
        with _steps() as on_step:
            done = apply(
                context,
                found.plan,
                first_export=options["first_export"],
                progress=lambda step, count: on_step(f"{step}: {count:,}" if count else step),
            )
        result["applied"] = asdict(done)
    _print_end(found.plan, result, options, has_schema=has_schema)


def release(context: Context, *, yes: bool, as_json: bool) -> None:
    """Carries out the command. Raises UsageError, and what the steps raise."""
    if not yes:
        _require_somebody("--yes")
        click.confirm("Release the table? The log of its changes is deleted", abort=True, err=True)
    with _steps() as on_step:
        on_step("releasing")
        release_contacts(context)
    click.echo(json.dumps({"released": True}) if as_json else "released: the table is as it was")


def _statements(context: Context, plan: Plan) -> list[str]:
    with context.contacts.session() as conn:
        return statements(conn, plan)


def _asked(options: dict[str, Any]) -> Plan:
    """The plan of a file, or one without fields from the options."""
    given = [name for name in OF_PLAN if options[name] not in (None, ())]
    if options["plan"] is not None:
        if given:
            raise UsageError(f"--plan and {_shown_name(given[0])} exclude each other: the plan says all of it")
        plan: Plan = plan_file.read(options["plan"])
        return plan
    if options["view"] is None and not options["table"]:
        raise UsageError("Name a table, or --view FILE or --plan FILE: see `flask contacts adopt --help`")
    of_table = [name for name in ("table", "key", "joins", "where") if name in given]
    if options["view"] is not None and of_table:
        raise UsageError(f"--view and {_shown_name(of_table[0])} exclude each other: the SELECT says it")
    origin = read_origin(options["origin"], options["origin_through"], options["origin_names"])
    if options["view"] is not None:
        path: Path = options["view"]
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return Plan("", "", (), origin, view=read_select(text, str(path)))
    joins = tuple(read_join(text) for text in options["joins"])
    return Plan(options["table"], options["key"] or "", (), origin, joins, options["where"])


def _shown_name(option: str) -> str:
    singular = {"table": "TABLE", "fields": "--field", "joins": "--join"}
    return singular.get(option, f"--{option.replace('_', '-')}")


def _require_somebody(options: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"Without a terminal nobody can be asked: {options} expected")


def _print_plan(found: Prepared, told: Sequence[str]) -> None:
    """The SQL, which may be long, and below it the mapping, where the question follows."""
    plan = found.plan
    for statement in told:
        text = statement.rstrip().rstrip(";")
        click.echo(text if text.startswith("--") else f"{text};")
        click.echo()
    table = Table("field", "name", "type", "column", "value", "choices", box=None)
    for one in plan.fields:
        values = [f"{value}={choice}" for value, choice in one.values.items()]
        shown = ", ".join(values[:SHOWN_VALUES]) + (f", … ({len(values)})" if len(values) > SHOWN_VALUES else "")
        table.add_row(str(one.id), one.name, one.application_type, one.column, one.expression, shown)
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, highlight=False).print(table)
    for note in found.notes:
        click.echo(note, err=True)
    click.echo()


def _print_end(plan: Plan, result: dict[str, Any], options: dict[str, Any], *, has_schema: bool) -> None:
    if options["as_json"]:
        click.echo(json.dumps(result, ensure_ascii=False, indent=2, default=str))
    elif options["write_plan"]:
        click.echo(f"{options['write_plan']} is written: edit it, then `flask contacts adopt --plan FILE`")
    elif options["dry_run"]:
        later = "" if has_schema else " (the SQL is shown after `flask db upgrade`)"
        click.echo(f"dry run, nothing was changed{later}")
    else:
        applied = result["applied"]
        for text in applied["unproven"]:
            click.echo(f"watched, but not proven by a try: {text}", err=True)
        logged = f", {_counted(applied['logged'], 'contact')} logged" if options["first_export"] else ""
        click.echo(f"adopted {_counted(len(plan.fields), 'field')}, watching {', '.join(applied['tables'])}{logged}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@contextmanager
def _steps() -> Iterator[OnStep]:
    """Yields what to tell the step that begins. It is shown on a terminal only."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda step: progress.update(task, description=step)
