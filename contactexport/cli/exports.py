"""`flask export`: run an export here and now, and list, show, retry or cancel any."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from contactexport.api.retry_fields import load_typed
from contactexport.cli import export_output, export_progress
from contactexport.cli.current import current_context, current_operator
from contactexport.cli.delivery_options import ask_ftp_password, ask_sftp_credentials, delivery_options
from contactexport.cli.errors import CommandGroup
from contactexport.cli.export_options import ask_notification_url, asked_for
from contactexport.context import Context
from contactexport.errors import ContactExportError, UsageError
from contactexport.exports import accept, run, store
from contactexport.exports import cancel as cancel_export
from contactexport.exports import files as export_files
from contactexport.exports import retry as retry_export
from contactexport.exports import status as export_status
from contactexport.exports.models import ExportStatus
from contactexport.files import storage_check
from contactexport.users.models import DEFAULT_TEAM

group = CommandGroup("export", help="Exports of changed contacts: run one here and now, list, show, retry, cancel.")


@group.command()
@click.option("--origin", required=True, type=click.Choice(["form", "api", "all"]), help="Where contacts come from.")
@click.option("--origin-id", help="Ids of forms or API sources, separated by commas. Not for `all`.")
@click.option("--from", "start", help="Start of the window: YYYY-MM-DD[ HH:MM[:SS]] or ISO 8601.")
@click.option("--to", "end", help="End of the window, not included.")
@click.option(
    "--full", is_flag=True, help="All contacts of the origins, not only changed ones. Without --from and --to."
)
@click.option("--fields", required=True, help="Contact fields by id or name, separated by commas.")
@click.option("--delimiter", default=",", show_default=True, type=click.Choice([",", ";"]), help="Between two values.")
@click.option("--language", help="Language of header and labels, for example en.")
@click.option("--header/--no-header", default=True, show_default=True, help="Write the field names first.")
@click.option("--spreadsheet", is_flag=True, help="For spreadsheet programs: BOM, CRLF, formulas as plain text.")
@click.option("--may-end-early", is_flag=True, help="End the window early instead of waiting for a long transaction.")
@click.option("--may-be-incomplete", is_flag=True, help="Export what is left of a window whose start is pruned.")
@click.option(
    "--removed", is_flag=True, help="Add contacts that were deleted or left the origins, and a column `change`."
)
@click.option("--origin-column", is_flag=True, help="Add a column `origin`, such as form:123.")
@click.option("--output", metavar="FILE|-", help="Copy the finished file there. - is standard output.")
@delivery_options
@click.option("--team", default=DEFAULT_TEAM, show_default=True, help="Users of this team see the export.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def changes(as_json: bool, output: str | None, **options: Any) -> None:
    """Export the contacts that changed in a time range, here and now.

    The export runs in this process under the same lock as any other. While the same setting is running somewhere,
    it is refused (exit code 3). Ctrl-C cancels it. If this process dies, a worker finishes the export.
    The password is read from the environment variable FTP_PASSWORD or SFTP_PASSWORD, or asked for on the terminal, and
    so is the passphrase of a private key: SFTP_PASSPHRASE.

    \b
    Examples:
      flask export changes --origin form --origin-id 123 --from 2012-02-09 --to 2012-04-02 \\
          --fields 1,3,106533 --delimiter ';' --language en --output changes.csv
      flask export changes --origin all --from 2012-02-09 --to 2012-04-02 --fields email,first_name,last_name
      flask export changes --origin all --full --fields 1,3 --output contacts.csv
      flask export changes --origin all --full --fields 1,3 --sftp sftp://anna@sftp.example.com/in \\
          --sftp-host-key SHA256:… --sftp-key-file id_ed25519 --compression gzip --openpgp-key partner.asc
    """
    for method in ("ftp", "sftp"):
        if output and options[method]:
            raise UsageError(f"--output and --{method} exclude each other")
    if output == export_output.STANDARD_OUTPUT and as_json:
        raise UsageError("--json and --output - exclude each other: both write to standard output")
    context = current_context()
    storage_check.require_storage(context)
    asked = asked_for(context, options)
    if output:
        export_output.require_writable(output)
    export_id = accept.store(context, asked.settings, asked.ftp_password, current_operator().name, team=options["team"])
    finish_here(context, export_id, output, as_json)


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
    found = export_status.newest(current_context(), current_operator(), status=status, before=before, limit=limit)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table("id", "created", "status", "rows", "bytes", "attempts", "file or reason", box=None)
    for one in found:
        values = [one[key] for key in ("id", "created", "status", "rows", "bytes", "attempts")]
        last = one["file_name"] or one["error"] or ""
        if "warnings" in one:
            last += f" (warnings: `flask export show {one['id']}`)"
        table.add_row(*("" if value is None else str(value) for value in values), last)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    try:
        files, size = export_files.disk_use(current_context())
    except OSError as refused:
        raise ContactExportError(f"{current_context().storage.place}: {refused.strerror}") from None
    click.echo(f"{files} files, {size / 1e6:.1f} MB in {current_context().storage.place}", err=True)


@group.command()
@click.argument("export_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(export_id: int, as_json: bool) -> None:
    """Show one export.

    \b
    Example:
      flask export show 2140 --json
    """
    _print_status(export_status.status(current_context(), export_id, current_operator()), as_json)


@group.command()
@click.argument("export_id", type=int)
@click.option("--username", help="Another FTP or SFTP user than before.")
@click.option("--sftp-key-file", type=click.Path(path_type=Path), help="Log in by this private key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retry(export_id: int, username: str | None, sftp_key_file: Path | None, as_json: bool) -> None:
    """Retry an export in error. If its file exists, a worker only delivers it again.

    The password is read from the environment variable FTP_PASSWORD or SFTP_PASSWORD, or asked for on the terminal. The
    same holds for the passphrase of a private key, SFTP_PASSPHRASE, and for a notification URL with credentials that
    was already called: NOTIFICATION_URL. An empty one notifies nobody.
    A run of a feed takes both from the feed.

    \b
    Example:
      flask export retry 2140
    """
    context = current_context()
    with context.database.autocommit() as conn:
        export = store.get(conn, export_id)
    secrets_are_kept = export.feed_id is not None
    if sftp_key_file and (secrets_are_kept or export.settings.sftp is None):
        raise UsageError(f"--sftp-key-file is for an export by SFTP, and {export_id} is none that needs a key")
    secrets: dict[str, str | None] = {}
    if export.settings.ftp is not None and not secrets_are_kept:
        secrets = {"password": ask_ftp_password()}
    elif export.settings.sftp is not None and not secrets_are_kept:
        secrets = vars(ask_sftp_credentials(sftp_key_file))
    url = ask_notification_url() if retry_export.lacks_url(export) and not secrets_are_kept else None
    typed = load_typed(export, {"username": username, **secrets, "notification_url": url}, context.guard)
    retry_export.retry(context, export_id, typed.secret, typed.username, typed.notification_url)
    _print_status(export_status.status(context, export_id, current_operator()), as_json)


@group.command()
@click.argument("export_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cancel(export_id: int, as_json: bool) -> None:
    """End an unfinished export, or delete the file of a finished one.

    \b
    Example:
      flask export cancel 2140
    """
    context = current_context()
    cancel_export.cancel(context, export_id, current_operator())
    _print_status(export_status.status(context, export_id, current_operator()), as_json)


def finish_here(context: Context, export_id: int, output: str | None, as_json: bool) -> None:
    """Runs a stored export in this process, then prints its status. Raises ContactExportError unless it is done."""
    try:
        with export_progress.shown() as progress:
            export = run.run(context, export_id, progress)
    except KeyboardInterrupt:
        # Left unfinished, it would refuse the same setting until a worker takes it.
        cancel_export.cancel(context, export_id, current_operator())
        raise ContactExportError(f"Export {export_id} is cancelled") from None
    if export is None:
        raise ContactExportError(f"A worker has taken export {export_id} over; see `flask export show {export_id}`")
    if export.status is not ExportStatus.DONE:
        later = ""
        if not export.status.finished:
            waits_for_writers = export.status is ExportStatus.IN_PROGRESS and export.writers_since is not None
            on_end = f"a worker continues when that has ended (`flask export show {export_id}`)"
            later = f"; {on_end if waits_for_writers else 'a worker retries'}, or `flask export cancel {export_id}`"
        raise ContactExportError(f"Export {export_id} is {export.status}: {export.error}{later}")
    if output:
        with context.storage.open_finished(export.stored_name, export.bytes) as content:
            export_output.copy(content, output, f"{context.storage.place}/{export.stored_name}")
    if output != export_output.STANDARD_OUTPUT:
        _print_status(export_status.payload(context, export), as_json)
        if not as_json and export.settings.remote is None:
            click.echo(f"file: {output or f'{context.storage.place}/{export.stored_name}'}")


def _print_status(status: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(status, ensure_ascii=False, indent=2))
        return
    for key, value in status.items():
        if key == "delivery":
            for one in value:
                click.echo(f"delivery: attempt {one['attempt']} at {one['at']}: {one['reply']}")
        elif key == "warnings":
            for text in value:
                click.echo(f"warning: {text}")
        elif value not in (None, []):
            listed = value if isinstance(value, list) else list(value.values() if isinstance(value, dict) else [value])
            click.echo(f"{key}: {(' to ' if key == 'time_range' else ', ').join(map(str, listed))}")
