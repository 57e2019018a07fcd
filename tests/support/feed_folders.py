"""Folders of a feed as a receiver has them, written without a service."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contactexport.files.export_file import WrittenFile
from contactexport.files.writer import RowIndex
from contactexport.manifests.manifest import FeedRun, FileContent, build
from contactexport.manifests.signing import PublicKeys, SigningKey, key_set

BEGINNING = datetime(2026, 3, 1, 2, tzinfo=UTC)


@dataclass
class FeedFolder:
    """Writes the runs of one feed into a folder, as the service does."""

    folder: Path
    feed_id: int = 3
    name: str = "nightly"
    next_export: int = 1
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.new()])
    manifests: list[str] = field(default_factory=list)  # of the runs that are done
    columns: list[tuple[int | None, str]] = field(
        default_factory=lambda: [(None, "user_id"), (3, "E-Mail"), (None, "last update"), (None, "change")]
    )
    cursor: datetime | None = None
    reset: bool = False
    failed: list[str] = field(default_factory=list)  # files of this sequence that ended in error
    now: datetime = BEGINNING

    @property
    def public_keys(self) -> PublicKeys:
        """What `--key` names."""
        return PublicKeys.read(self.key_file())

    def key_file(self) -> str:
        """The JWK Set of all keys."""
        return json.dumps(key_set([key.public for key in self.keys]))

    @property
    def files(self) -> list[str]:
        """The files of the runs that are done, in their order."""
        return [json.loads(manifest)["file"] for manifest in self.manifests]

    def run(self, content: bytes = b"", *, fails_with: Sequence[str] | None = None) -> str:
        """One run. `fails_with`: it ends in error, and these arrived before: "file", "manifest". Returns its file."""
        self.now += timedelta(days=1)
        number, self.next_export = self.next_export, self.next_export + 1
        name = f"{'changes' if self.cursor else 'full'}_{number}_en-{number:06x}.csv"
        written = content or f"user_id,E-Mail,last update,change\n{number},a@example.com,2026-03-01,changed\n".encode()
        manifest = build(
            FileContent(
                export=number,
                name=name,
                window=(self.cursor, self.now),
                complete_from=None,
                columns=self.columns,
                removed=0,
                written=WrittenFile(
                    written.count(b"\n"), len(written), hashlib.sha256(written).hexdigest(), RowIndex()
                ),
            ),
            FeedRun(
                self.feed_id,
                self.name,
                len(self.manifests) + 1,
                previous=self.manifests[-1] if self.manifests else None,
                reset=self.reset,
                supersedes=self.failed,
            ),
            self.keys[-1],
            self.now,
        )
        if fails_with is None or "file" in fails_with:
            (self.folder / name).write_bytes(written)
        if fails_with is None or "manifest" in fails_with:
            (self.folder / f"{name}.json").write_text(manifest, encoding="utf-8")
        if fails_with is not None:
            self.failed.append(name)
            return name
        self.cursor, self.reset, self.failed = self.now, False, []
        self.manifests.append(manifest)
        return name
