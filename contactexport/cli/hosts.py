"""`flask hosts`: what was learned about FTP and SFTP hosts."""

import json
from urllib.parse import urlsplit

import click

from contactexport.cli.current import current_context
from contactexport.cli.errors import CommandGroup
from contactexport.cli.listing import print_table
from contactexport.delivery import host_traits
from contactexport.errors import ContactExportError, UsageError
from contactexport.hosts.parse import parse_host

group = CommandGroup("hosts", help="What was learned about FTP and SFTP hosts from their replies.")


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the special behaviour of FTP and SFTP hosts, and the replies that showed it.

    \b
    Example:
      flask hosts list --json
    """
    with current_context().database.transaction() as conn:
        found = [
            one | {"meaning": host_traits.MEANINGS.get(one["trait"], ""), "learned_at": one["learned_at"].isoformat()}
            for one in host_traits.all_traits(conn)
        ]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    columns = ("host", "port", "username", "trait", "meaning", "learned_at", "told")
    rows = [[str(one[column]) for column in columns] for one in found]
    print_table(("host", "port", "user", "trait", "meaning", "learned", "by the reply"), rows)


@group.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--user", "username", help="Only for this user.")
def forget(host: str, username: str | None) -> None:
    """Forget what was learned about a host. The next delivery tries everything again.

    \b
    Example:
      flask hosts forget ftp.example.com:2121 --user anna
    """
    name, port = _read_host(host)
    with current_context().database.transaction() as conn:
        forgotten = host_traits.forget(conn, name, port=port, username=username)
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
