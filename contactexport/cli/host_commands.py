"""`flask hosts`: what was learned about FTP hosts."""

import json
import sys
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table

from contactexport.cli.backend import current_backend
from contactexport.cli.command_errors import CommandGroup
from contactexport.db import ftp_host_repository
from contactexport.delivery.host_traits import MEANINGS
from contactexport.errors import ContactExportError, UsageError
from contactexport.internet_host import parse_host

group = CommandGroup("hosts", help="What was learned about FTP hosts from their replies.")


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List what FTP hosts do in their own way, and the replies that have shown it.

    \b
    Example:
      flask hosts list --json
    """
    with current_backend().database.transaction() as conn:
        found = [
            one | {"meaning": MEANINGS.get(one["trait"], ""), "learned_at": one["learned_at"].isoformat()}
            for one in ftp_host_repository.all_traits(conn)
        ]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table("host", "port", "user", "trait", "meaning", "learned", "by the reply", box=None)
    for one in found:
        columns = ("host", "port", "username", "trait", "meaning", "learned_at", "told")
        table.add_row(*(str(one[column]) for column in columns))
    Console(width=None if sys.stdout.isatty() else 300, markup=False, highlight=False).print(table)


@group.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--user", "username", help="Only for this FTP user.")
def forget(host: str, username: str | None) -> None:
    """Forget what was learned about a host: the next delivery tries everything again.

    \b
    Example:
      flask hosts forget ftp.example.com:2121 --user anna
    """
    name, port = _read_host(host)
    with current_backend().database.transaction() as conn:
        forgotten = ftp_host_repository.forget(conn, name, port=port, username=username)
    if not forgotten:
        whose = f" for the user {username}" if username else ""
        raise ContactExportError(f"Nothing is known about {host}{whose}; see `flask hosts list`")
    click.echo(f"{forgotten} forgotten about {host}")


def _read_host(text: str) -> tuple[str, int | None]:
    try:
        if text.count(":") > 1 and not text.startswith("["):  # a bare IPv6 address
            return str(parse_host(text)), None
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.netloc == text and "@" not in text:
            return str(parse_host(parts.hostname)), parts.port
    except ValueError:
        pass
    expected = "ftp.example.com, 192.0.2.7:2121 or [2001:db8::7]:21 expected"
    raise UsageError(f"Invalid value for HOST[:PORT]: {text}: {expected}")
