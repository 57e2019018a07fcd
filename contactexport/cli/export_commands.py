"""`flask export`: ad hoc exports, and a look at all of them."""

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from contactexport import export_file
from contactexport.backend import Backend
from contactexport.cli import export_output, export_progress
from contactexport.cli.backend import current_backend, current_operator
from contactexport.cli.command_errors import CommandGroup
from contactexport.cli.export_options import ask_ftp_password, ask_notification_url, asked_for
from contactexport.errors import ContactExportError, UsageError
from contactexport.models import DEFAULT_TEAM, Export, ExportStatus
from contactexport.services import (
    cancel_export,
    check_storage,
    delete_files,
    request_export,
    retry_export,
    run_export,
    track_export,
)
from contactexport.services.deliver_export import stored_file

group = CommandGroup("export", help="Exports of changed contacts: run one here and now, list, show, retry, cancel.")


@group.command()
@click.option("--origin", required=True, type=click.Choice(["form", "api", "all"]), help="Where contacts come from.")
@click.option("--origin-id", help="Ids of forms or API sources, separated by commas; not for `all`.")
@click.option("--from", "start", required=True, help="Start of the window: YYYY-MM-DD[ HH:MM[:SS]] or ISO 8601.")
@click.option("--to", "end", required=True, help="End of the window, itself not included.")
@click.option("--fields", required=True, help="Ids of the contact fields, separated by commas.")
@click.option("--delimiter", default=",", show_default=True, type=click.Choice([",", ";"]), help="Between two values.")
@click.option("--language", help="Language of header and labels, for example en.")
@click.option("--header/--no-header", default=True, show_default=True, help="Write the field names first.")
@click.option("--spreadsheet", is_flag=True, help="For spreadsheet programs: BOM, CRLF, formulas made harmless.")
@click.option("--may-end-early", is_flag=True, help="Rather end the window early than wait for a long transaction.")
@click.option("--may-be-incomplete", is_flag=True, help="Export what is kept of a window that begins before.")
@click.option("--output", metavar="FILE|-", help="Copy the finished file there; - is standard output.")
@click.option("--ftp", metavar="URL", help="Upload to ftp[s]://user@host:port/folder; the password is asked for.")
@click.option("--ftp-temporary-name", metavar="PATTERN", help="Name until it is complete, such as %s.tmp or in/%s.")
@click.option("--team", default=DEFAULT_TEAM, show_default=True, help="Users of this team see the export.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def changes(as_json: bool, output: str | None, **options: Any) -> None:
    """Export the contacts that changed in a time range, here and now.

    The export runs in this process under the same lock as any other: while the same setting is running somewhere,
    it is refused (exit code 3). Ctrl-C cancels it; should this process die, a worker finishes it.
    The FTP password is asked for on the terminal, or read from the environment variable FTP_PASSWORD.

    \b
    Example:
      flask export changes --origin form --origin-id 123 --from 2012-02-09 --to 2012-04-02 \\
          --fields 1,3,106533 --delimiter ';' --language en --output changes.csv
    """
    if output and options["ftp"]:
        raise UsageError("--output and --ftp exclude each other")
    if output == export_output.STANDARD_OUTPUT and as_json:
        raise UsageError("--json and --output - exclude each other: both write to standard output")
    backend = current_backend()
    check_storage.require_storage(backend)
    asked = asked_for(backend, options)
    if output:
        export_output.require_writable(output)
    export_id = request_export.store(
        backend, asked.settings, asked.ftp_password, current_operator().name, team=options["team"]
    )
    export = _run(backend, export_id)
    _report(backend, export_id, export, output, as_json)


@group.command("list")
@click.option("--status", type=click.Choice([str(status) for status in ExportStatus]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
@click.option("--before", type=int, help="Only exports with a smaller id.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(status: str | None, limit: int, before: int | None, as_json: bool) -> None:
    """List exports, newest first.

    \b
    Example:
      flask export list --status error --json
    """
    found = track_export.newest(current_backend(), current_operator(), status=status, before=before, limit=limit)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table("id", "created", "status", "rows", "bytes", "attempts", "file or reason", box=None)
    for one in found:
        values = [one[key] for key in ("id", "created", "status", "rows", "bytes", "attempts")]
        table.add_row(
            *("" if value is None else str(value) for value in values), one["file_name"] or one["error"] or ""
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    files, size = delete_files.disk_use(current_backend())
    click.echo(f"{files} files, {size / 1e6:.1f} MB in {current_backend().settings.storage_dir}", err=True)


@group.command()
@click.argument("export_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(export_id: int, as_json: bool) -> None:
    """Show one export.

    \b
    Example:
      flask export show 2140 --json
    """
    _print_status(track_export.status(current_backend(), export_id, current_operator()), as_json)


@group.command()
@click.argument("export_id", type=int)
@click.option("--username", help="Another FTP user than before.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retry(export_id: int, username: str | None, as_json: bool) -> None:
    """Try an export in error again: a file that exists is only delivered again, by a worker.

    The FTP password is asked for on the terminal, or read from the environment variable FTP_PASSWORD. So is a
    notification URL with credentials that was called already, NOTIFICATION_URL; an empty one notifies nobody.

    \b
    Example:
      flask export retry 2140
    """
    backend = current_backend()
    export = track_export.visible(backend, export_id, current_operator())
    password = ask_ftp_password() if export.settings.ftp is not None else None
    url = ask_notification_url() if retry_export.lacks_url(export) else None
    retry_export.retry(backend, export_id, password, username, url)
    _print_status(track_export.status(backend, export_id, current_operator()), as_json)


@group.command()
@click.argument("export_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cancel(export_id: int, as_json: bool) -> None:
    """End an export that is not finished; of a finished one the file is deleted.

    \b
    Example:
      flask export cancel 2140
    """
    backend = current_backend()
    cancel_export.cancel(backend, export_id, current_operator())
    _print_status(track_export.status(backend, export_id, current_operator()), as_json)


def _run(backend: Backend, export_id: int) -> Export | None:
    try:
        with export_progress.shown() as progress:
            return run_export.run(backend, export_id, progress)
    except KeyboardInterrupt:
        # Left as it is, it would refuse the same setting until a worker comes along.
        cancel_export.cancel(backend, export_id, current_operator())
        raise ContactExportError(f"Export {export_id} is cancelled") from None


def _report(backend: Backend, export_id: int, export: Export | None, output: str | None, as_json: bool) -> None:
    if export is None:
        raise ContactExportError(f"A worker has taken export {export_id} over; see `flask export show {export_id}`")
    if export.status is not ExportStatus.DONE:
        later = "" if export.status.finished else f"; {_how_it_goes_on(export)}, or `flask export cancel {export_id}`"
        raise ContactExportError(f"Export {export_id} is {export.status}: {export.error}{later}")
    if output:
        stored = stored_file(backend, export)
        with export_file.open_finished(stored.parent, stored.name, export.bytes) as content:
            export_output.copy(content, output, stored)
    if output != export_output.STANDARD_OUTPUT:
        _print_status(track_export.payload(backend, export), as_json)
        if not as_json and export.settings.ftp is None:
            click.echo(f"file: {output or stored_file(backend, export)}")


def _how_it_goes_on(export: Export) -> str:
    if export.status is ExportStatus.IN_PROGRESS and export.writers_since is not None:
        return f"a worker goes on once that has ended (`flask export show {export.id}`)"
    return "a worker tries again"


def _print_status(status: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(status, ensure_ascii=False, indent=2))
        return
    for key, value in status.items():
        if key == "delivery":
            for one in value:
                click.echo(f"delivery: attempt {one['attempt']} at {one['at']}: {one['reply']}")
        elif value not in (None, []):
            click.echo(f"{key}: {_shown(key, value)}")


def _shown(key: str, value: Any) -> str:
    if isinstance(value, list):
        return (" to " if key == "time_range" else ", ").join(map(str, value))
    return str(value)
