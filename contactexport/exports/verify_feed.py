"""Verifies a feed where its files were made: the chain of its manifests, and the stored files that are still there."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from contactexport.context import Context
from contactexport.db.queries import queries
from contactexport.errors import FileDamaged
from contactexport.exports.models import MANIFEST_SUFFIX, sorted_json
from contactexport.feeds.models import Feed
from contactexport.files import storage_check
from contactexport.manifests import store as manifests
from contactexport.manifests.chain import Fault, chain_faults, chains_of
from contactexport.manifests.manifest import BadManifest, Manifest, read
from contactexport.manifests.signing import PublicKeys

MOST_MANIFESTS = 5000
HASH_SECONDS = 10.0
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class FeedReport:
    """What was found. `manifests` were read, from the sequence `oldest` on.

    `files` with `bytes` were hashed and are right. For `unread` ones there was no time.
    """

    faults: list[Fault]
    manifests: int
    oldest: int
    files: int
    bytes: int
    unread: int


def verify(context: Context, feed: Feed, seconds: float = HASH_SECONDS) -> FeedReport:
    """Checks the newest MOST_MANIFESTS manifests of a feed, then hashes stored files for `seconds`, newest first.

    A file that was deleted after its delivery or after the retention is no fault. Raises StorageUnfit,
    DatabaseUnavailable.
    """
    storage_check.require_storage(context)
    keys = PublicKeys.read(sorted_json(manifests.public_key_set(context)))
    with context.database.transaction() as conn:
        rows = list(queries("console_feeds").manifests_of_feed(conn, feed_id=feed.id, most=MOST_MANIFESTS))
    faults: list[Fault] = []
    found = [one for row in rows if (one := read_manifest(row, keys, faults)) is not None]
    first = found[-1].sequence if len(rows) == MOST_MANIFESTS and found else 1
    for chain in chains_of(found):
        faults += chain_faults(chain, keys, first)
    faults += end_faults(feed, rows, found)
    files, size, unread = 0, 0, 0
    deadline = time.monotonic() + seconds
    for row in rows:
        if row["is_here"]:
            state = file_state(context, row, deadline)
            if isinstance(state, Fault):
                faults.append(state)
            elif state:
                files, size = files + 1, size + row["bytes"]
            else:
                unread += 1
    return FeedReport(faults, len(found), rows[-1]["sequence"] if rows else 0, files, size, unread)


def read_manifest(row: dict[str, Any], keys: PublicKeys, faults: list[Fault]) -> Manifest | None:
    """The manifest of a run, if it is right and says of the file what the run says. Otherwise a fault more."""
    name = row["file_name"] + MANIFEST_SUFFIX
    try:
        manifest = read((row["manifest"] or "").encode(), keys)
    except BadManifest as bad:
        faults.append(Fault(name, str(bad)))
        return None
    told = (manifest.export, manifest.sequence, manifest.file, manifest.bytes, manifest.sha256)
    if told != (row["id"], row["sequence"], row["file_name"], row["bytes"], row["sha256"]):
        faults.append(Fault(name, f"is not about export {row['id']}: its number, name, size or SHA-256 is another"))
    return manifest


def end_faults(feed: Feed, rows: list[dict[str, Any]], found: list[Manifest]) -> Iterator[Fault]:
    """What does not fit between the feed and its newest file. A run that has ended meanwhile is no fault."""
    newest = rows[0]["sequence"] if rows else 0
    if newest < feed.sequence:
        yield Fault(feed.name, f"has come to sequence {feed.sequence}, and the newest file has {newest}")
    last = next((one for one in found if one.sequence == feed.sequence), None)
    if last is not None and last.digest != feed.last_manifest_sha256:
        yield Fault(last.file, f"has another manifest than the feed notes for sequence {feed.sequence}")


def file_state(context: Context, row: dict[str, Any], deadline: float) -> Fault | bool:
    """True if the stored file is as its run says, False if there was no time to see, or a fault."""
    if time.monotonic() >= deadline:
        return False
    try:
        with context.storage.open_finished(row["stored_name"], row["bytes"]) as file:
            digest = hashed(file, deadline)
    except FileDamaged as damaged:
        return Fault(row["file_name"], damaged.text)
    if digest is None:
        return False
    return digest == row["sha256"] or Fault(row["file_name"], "has another content than its manifest says (SHA-256)")


def hashed(file: BinaryIO, deadline: float) -> str | None:
    """The hexadecimal SHA-256 of the rest of a file. None when the time (monotonic) is over before its end."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
        if time.monotonic() >= deadline:
            return None
    return digest.hexdigest()
