"""The records of an export: its settings, and its state."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from contactexport.users.models import DEFAULT_TEAM

MANIFEST_SUFFIX = ".json"
GZIP_SUFFIX = ".gz"
OPENPGP_SUFFIX = ".pgp"

sorted_json = json.JSONEncoder(sort_keys=True).encode  # json.dumps would make an encoder each time


class ExportStatus(StrEnum):
    """The states of an export (contract, Status)."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in progress"
    READY = "ready"
    DONE = "done"
    ERROR = "error"

    @property
    def finished(self) -> bool:
        """True when no worker will touch the export again."""
        return self in {ExportStatus.DONE, ExportStatus.ERROR}


LEGAL_TRANSITIONS: Mapping[ExportStatus, frozenset[ExportStatus]] = {
    ExportStatus.SCHEDULED: frozenset({ExportStatus.IN_PROGRESS, ExportStatus.ERROR}),
    ExportStatus.IN_PROGRESS: frozenset({ExportStatus.IN_PROGRESS, ExportStatus.READY, ExportStatus.ERROR}),
    ExportStatus.READY: frozenset({ExportStatus.READY, ExportStatus.DONE, ExportStatus.ERROR}),
    ExportStatus.DONE: frozenset(),
    ExportStatus.ERROR: frozenset({ExportStatus.SCHEDULED, ExportStatus.READY}),
}


# Settings that later versions added, with their defaults.
LATER_SETTINGS: Mapping[str, Any] = {
    "type": "changes",
    "may_end_early": False,
    "may_be_incomplete": False,
    "removed": False,
    "origin_column": False,
    "sftp": None,
    "compression": None,
    "openpgp_key": None,
}
# The window of an export of all contacts. So two of them are the same setting, whenever they were asked for.
ALL_TIME = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class FtpTarget:
    """Where a file goes by FTP. The password is stored encrypted in a column of its own.

    `temporary_name` is the pattern for the name of an incomplete file. None: the service's pattern.
    """

    host: str
    port: int
    username: str
    folder: str | None = None
    tls: bool = False
    temporary_name: str | None = None


@dataclass(frozen=True)
class SftpTarget:
    """Where a file goes by SFTP. The password or the private key is stored encrypted in a column of its own.

    `host_key` is the fingerprint that the key of the host must have. None: any, which the operator must allow.
    """

    host: str
    port: int
    username: str
    host_key: str | None = None
    folder: str | None = None
    temporary_name: str | None = None


@dataclass(frozen=True)
class DeliveredFile:
    """The form of a file that a host got, if it is not the file itself: compressed, encrypted, or both."""

    file_name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ExportSettings:
    """The request, normalised: equal requests give equal values.

    `start` and `end` are UTC, the window is [start, end). `origin_ids` are sorted and unique, empty for `all`.
    `contact_fields` are unique and in the order of the request. `type` is `changes`, `registrations` or `full`: all
    contacts, with ALL_TIME as window. With `may_end_early` a past window may be cut. With `may_be_incomplete` a window
    is exported even if the log no longer has its first changes. `removed` adds contacts that were deleted or left the
    origins, and the column `change`. `origin_column` adds the column `origin`. A host gets the file with this
    `compression` (`gzip`), and encrypted for the certificate `openpgp_key`.
    """

    distribution_method: str
    origin: str
    origin_ids: tuple[int, ...]
    start: datetime
    end: datetime
    contact_fields: tuple[int, ...]
    delimiter: str
    header: bool
    language: str
    ftp: FtpTarget | None = None
    notification_url: str | None = None
    spreadsheet: bool = False
    type: str = "changes"
    may_end_early: bool = False
    may_be_incomplete: bool = False
    removed: bool = False
    origin_column: bool = False
    sftp: SftpTarget | None = None
    compression: str | None = None
    openpgp_key: str | None = None

    @property
    def remote(self) -> FtpTarget | SftpTarget | None:
        """Where the file is sent. None: it stays in the storage."""
        return self.ftp or self.sftp

    def delivered_name(self, file_name: str) -> str:
        """The name under which a host gets the file."""
        return (
            file_name + GZIP_SUFFIX * (self.compression is not None) + OPENPGP_SUFFIX * (self.openpgp_key is not None)
        )

    @property
    def adds_removed(self) -> bool:
        """True when removed contacts have rows. A full export of a feed has only the column for them."""
        return self.removed and self.type != "full"

    @property
    def last_columns(self) -> tuple[str, ...]:
        """Names of the columns behind `last update`."""
        return ("origin",) * self.origin_column + ("change",) * self.removed

    def to_json(self) -> dict[str, Any]:
        """Plain values for the column `export.settings`.

        A setting of a later version is left out while it has its default, so that the key stays the same.
        """
        ftp = asdict(self.ftp) if self.ftp else None
        if ftp and ftp["temporary_name"] is None:
            del ftp["temporary_name"]
        sftp = asdict(self.sftp) if self.sftp else None
        times = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        stored = vars(self) | times | {"ftp": ftp, "sftp": sftp}
        return {name: value for name, value in stored.items() if LATER_SETTINGS.get(name, ...) != value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ExportSettings":
        """The inverse of `to_json`."""
        return cls(
            **{
                **stored,
                "origin_ids": tuple(stored["origin_ids"]),
                "contact_fields": tuple(stored["contact_fields"]),
                "start": datetime.fromisoformat(stored["start"]).astimezone(UTC),
                "end": datetime.fromisoformat(stored["end"]).astimezone(UTC),
                "ftp": FtpTarget(**stored["ftp"]) if stored["ftp"] else None,
                "sftp": SftpTarget(**stored["sftp"]) if stored.get("sftp") else None,
            }
        )

    def key(self, team: str = DEFAULT_TEAM) -> int:
        """Signed 64 bits, equal for the same setting of a team (contract, 4001)."""
        return setting_key(self.to_json(), team)


def setting_key(stored: Mapping[str, Any], team: str) -> int:
    """The key of a team's stored settings, without the notification_url. The password is not part of them.

    The default team is not part of the key either: it has the keys from before there were teams.
    """
    same = {name: value for name, value in stored.items() if name != "notification_url"}
    if team != DEFAULT_TEAM:
        same["team"] = team
    digest = hashlib.sha256(sorted_json(same).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True)
class Export:
    """One row of the table `export`. Times are UTC.

    `ftp_secret` is the FTP password, or the credentials for SFTP, encrypted.
    `deliveries` are the last attempts to deliver the file to a host: `attempt`, `at` (ISO 8601) and the host's `reply`.
    `warnings` are texts that a reader of the file must know, such as that changes were not logged.
    `writers_since` is when the export first had to wait for writers of contacts. `notify_secret` is the whole
    notification URL, encrypted, if the settings have only a part of it. A run of a feed has the feed's id, its name at
    the start, and a number. `columns` are id (None: no field) and name of those of the finished file. `delivered` is
    what the host got, if that is another form of the file.
    """

    id: int
    settings: ExportSettings
    setting_key: int
    ftp_secret: bytes | None
    notify_secret: bytes | None
    created_by: str
    team: str
    created_at: datetime
    status: ExportStatus
    attempt: int
    run_attempts: int
    delivery_attempts: int
    permanent_failures: int
    deliveries: tuple[Mapping[str, Any], ...]
    due_at: datetime | None
    published_at: datetime | None
    started_at: datetime | None
    ready_at: datetime | None
    finished_at: datetime | None
    effective_until: datetime | None
    complete_from: datetime | None
    writers_since: datetime | None
    error: str | None
    file_name: str
    file_deleted_at: datetime | None
    rows: int | None
    rows_expected: int | None
    bytes: int | None
    sha256: str | None
    warnings: tuple[str, ...]
    notify_due_at: datetime | None
    notify_attempts: int
    notified_at: datetime | None
    notify_error: str | None
    feed_id: int | None
    feed_name: str | None
    feed_sequence: int | None
    columns: list[tuple[int | None, str]] | None
    removed: int | None
    manifest: str | None
    delivered: DeliveredFile | None

    @property
    def manifest_name(self) -> str:
        """The name of its manifest, which lies beside the file."""
        return self.settings.delivered_name(self.file_name) + MANIFEST_SUFFIX

    @property
    def waits_for_delivery(self) -> bool:
        """True when its file is ready and goes to another computer."""
        return self.status is ExportStatus.READY and self.settings.remote is not None
