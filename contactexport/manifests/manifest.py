"""The manifest of a file: what is in it, signed, and which manifest of the same feed came before.

Its bytes are the canonical JSON (RFC 8785) of one object. The signature is over the same object without `signature`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

import rfc8785

from contactexport.exports.models import DeliveredFile
from contactexport.files.export_file import WrittenFile
from contactexport.manifests.signing import PublicKeys, SigningKey, key_id

cached_version = cache(version)  # it reads a file each time

FORMAT = "contactexport-manifest-1"
NOT_CANONICAL = "is not as it was written: it is no canonical JSON (RFC 8785)"
ABSENT = type(None)
# The members that a verifier needs, with their types.
TYPES: dict[str, tuple[type, ...]] = {
    "key_id": (str,),
    "feed": (str, ABSENT),
    "feed_id": (int, ABSENT),
    "sequence": (int,),
    "export": (int,),
    "file": (str,),
    "start": (str, ABSENT),
    "end": (str,),
    "columns": (list,),
    "rows": (int,),
    "bytes": (int,),
    "sha256": (str,),
    "previous": (str, ABSENT),
    "reset": (bool,),
    "columns_changed": (bool,),
    "supersedes": (list,),
}
# The members of `delivered`, which only the manifest of a compressed or encrypted file has.
DELIVERED = {"file_name": str, "bytes": int, "sha256": str}
Columns = Sequence[tuple[int | None, str]]


class BadManifest(ValueError):
    """A manifest that is damaged, altered, or not ours. str() says what is wrong with it."""


@dataclass(frozen=True)
class FileContent:
    """What is known of a complete file: its `export`, its window, its columns, and how many of its rows are `removed`.

    A window without a start is that of a file of all contacts.
    """

    export: int
    name: str
    window: tuple[datetime | None, datetime]
    complete_from: datetime | None
    columns: Columns
    removed: int
    written: WrittenFile


@dataclass(frozen=True)
class FeedRun:
    """The run of a feed whose file is described.

    `previous` is the manifest of the run before, None for the first. `reset`: the window need not begin where that of
    the run before ended, because somebody moved the cursor. `supersedes` are names of files of earlier runs with the
    same sequence that ended in error. A receiver may have them.
    """

    feed_id: int
    name: str
    sequence: int
    previous: str | None = None
    reset: bool = False
    supersedes: Sequence[str] = ()


@dataclass(frozen=True)
class Manifest:
    """A manifest whose signature is right. `digest` is the SHA-256 of its bytes, for the `previous` of the next one."""

    digest: str
    key_id: str
    feed: str | None
    feed_id: int | None
    sequence: int
    export: int
    file: str
    start: str | None
    end: str
    columns: list[Any]
    rows: int
    bytes: int
    sha256: str
    previous: str | None
    reset: bool
    columns_changed: bool
    supersedes: list[str]
    delivered: DeliveredFile | None

    @property
    def file_beside(self) -> DeliveredFile:
        """The file that lies beside the manifest."""
        return self.delivered or DeliveredFile(self.file, self.bytes, self.sha256)


def build(content: FileContent, run: FeedRun | None, key: SigningKey, made_at: datetime) -> str:
    """The manifest of a file. Without `run` it is that of a single export."""
    before = json.loads(run.previous) if run and run.previous else None
    (start, end), written = content.window, content.written
    columns = [[field, name] for field, name in content.columns]
    described = {
        "format": FORMAT,
        "feed": run.name if run else None,
        "feed_id": run.feed_id if run else None,
        "sequence": run.sequence if run else 0,
        "export": content.export,
        "file": content.name,
        "window": {"start": shown(start), "end": shown(end)},
        "complete_from": shown(content.complete_from),
        "columns": columns,
        "rows": written.rows,
        "removed": content.removed,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "previous": digest(run.previous.encode()) if run and run.previous else None,
        "reset": bool(run and run.reset),
        "columns_changed": before is not None and before["columns"] != columns,
        "supersedes": sorted(run.supersedes) if run else [],
        "made_at": shown(made_at),
        "version": cached_version("contactexport"),
        "key_id": key_id(key.public),
    }
    return _signed(described, key)


def with_delivered(manifest: str, delivered: DeliveredFile, key: SigningKey) -> str:
    """The same manifest, which also tells in which form a host gets the file, signed anew."""
    described = {name: value for name, value in json.loads(manifest).items() if name != "signature"}
    return _signed(described | {"delivered": asdict(delivered), "key_id": key_id(key.public)}, key)


def _signed(described: dict[str, Any], key: SigningKey) -> str:
    return rfc8785.dumps({**described, "signature": key.sign(rfc8785.dumps(described))}).decode()


def read(written: bytes, keys: PublicKeys) -> Manifest:
    """The manifest of these bytes. Raises BadManifest unless every byte is as one of the keys has signed it."""
    try:
        content = json.loads(written.decode())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadManifest(f"is no manifest: a JSON object with the format {FORMAT} expected")
    try:  # the same object may be written in many ways, with a member twice or other blanks
        canonical = rfc8785.dumps(content)
        signed = rfc8785.dumps({name: value for name, value in content.items() if name != "signature"})
    except (ValueError, RecursionError):
        raise BadManifest(NOT_CANONICAL) from None
    if canonical != written:
        raise BadManifest(NOT_CANONICAL)
    key, signature = content.get("key_id"), content.get("signature")
    if not isinstance(key, str) or key not in keys.by_id:
        raise BadManifest(
            f"is signed with the key {key!a}, which is not in the key file: fetch the keys again, or it is not ours"
        )
    if not isinstance(signature, str) or not keys.has_signed(key, signature, signed):
        raise BadManifest("has a wrong signature: it was altered, or signed with another key")
    return Manifest(digest(written), **_members(content))


def _members(content: dict[str, Any]) -> dict[str, Any]:
    window = content.get("window")
    found = {**content, **(window if isinstance(window, dict) else {})}
    lacking = [name for name, types in TYPES.items() if not isinstance(found.get(name, ...), types)]
    form, delivered = found.get("delivered"), None
    if isinstance(form, dict) and [type(form.get(name)) for name in DELIVERED] == list(DELIVERED.values()):
        delivered = DeliveredFile(**{name: form[name] for name in DELIVERED})
    elif form is not None:
        lacking.append("delivered")
    if lacking:
        raise BadManifest(f"lacks a proper value for {', '.join(lacking)}")
    return {name: found[name] for name in TYPES} | {"delivered": delivered}


def digest(written: bytes) -> str:
    """The hexadecimal SHA-256 of a manifest's bytes."""
    return hashlib.sha256(written).hexdigest()


def shown(moment: datetime | None) -> str | None:
    """The moment in UTC, always with as many digits, so that the later one is also the greater text."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
