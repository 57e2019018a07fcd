"""`contactexport verify`: proves the files of feeds, wherever they are. It needs no database and no settings."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from contactexport.cli.errors import PlainCommand
from contactexport.errors import UsageError
from contactexport.manifests.chain import Chain, printable
from contactexport.manifests.signing import PublicKeys
from contactexport.manifests.verify import Expected, Report
from contactexport.manifests.verify import verify as verify_folder


@click.command(cls=PlainCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), required=True, help="The public keys of the service."
)
@click.option("--feed", help="Only this feed, by its name or number. Other files may be in the folder, too.")
@click.option("--first", type=click.IntRange(1), default=1, help="Files before this sequence may have been deleted.")
@click.option("--sequence", type=click.IntRange(1), help="The feed must have come to this sequence.")
@click.option("--last", metavar="SHA256", help="The manifest with this SHA-256 must be there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def verify(
    ctx: click.Context,
    folder: Path,
    key_file: Path,
    feed: str | None,
    first: int,
    sequence: int | None,
    last: str | None,
    as_json: bool,
) -> None:
    """Prove that the files in FOLDER are those that the service has written, all of them, in an unbroken chain.

    Ends with 0, or with 1 and one line for each fault. Files that are missing at the end leave no trace: ask the
    service for the sequence or for the SHA-256 of its last manifest, and give it by --sequence or --last.

    \b
    Example:
      flask secrets manifest-key > keys.json
      contactexport verify /srv/feeds --key keys.json --feed nightly --sequence 12
    """
    try:
        keys = PublicKeys.read(key_file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The key file {key_file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"The key file {key_file} has no key: {error}") from None
    report = verify_folder(folder, keys, Expected(feed, first, sequence, last), key_file)
    if as_json:
        shown = {
            "ok": not report.faults,
            "files": report.files,
            "bytes": report.bytes,
            "encrypted": report.encrypted,
            "feeds": [told(chain) for chain in report.chains],
            "faults": [asdict(fault) for fault in report.faults],
        }
        click.echo(json.dumps(shown, indent=2))
    else:
        for line in lines(report):
            click.echo(line)
    ctx.exit(int(bool(report.faults)))


def lines(report: Report) -> Iterator[str]:
    """One for each fault. If there is none, one for each feed, with what a reset has left out, and one for all."""
    if report.faults:
        yield from (f"{printable(fault.file)}: {fault.what}" for fault in report.faults)
        return
    for one in map(told, report.chains):
        yield (
            f"{one['feed']} ({one['feed_id']}): sequences {one['first']} to {one['last']}, until {one['until']}, "
            f"last manifest {one['sha256']}"
        )
        yield from (f"  a reset has left out what changed from {start} to {end}" for start, end in one["uncovered"])
    unread = f", {report.encrypted} of them encrypted and compared as delivered only" if report.encrypted else ""
    yield f"ok: {report.files} files, {report.bytes} bytes{unread}"


def told(chain: Chain) -> dict[str, Any]:
    """How far the files of a feed are."""
    head, end = chain.manifests[0], chain.manifests[-1]
    return {
        "feed": printable(chain.feed),
        "feed_id": chain.feed_id,
        "first": head.sequence,
        "last": end.sequence,
        "until": end.end,
        "sha256": end.digest,
        "uncovered": chain.uncovered,
    }
