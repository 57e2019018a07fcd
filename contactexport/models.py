"""The records that are passed around: frozen, without behaviour beyond what follows from their own values."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from contactexport.client_rules import COMPATIBLE, STRICT, ClientRules

DEFAULT_TEAM = "default"

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
        """True when nothing more will happen to the export by itself."""
        return self in {ExportStatus.DONE, ExportStatus.ERROR}


LEGAL_TRANSITIONS: Mapping[ExportStatus, frozenset[ExportStatus]] = {
    ExportStatus.SCHEDULED: frozenset({ExportStatus.IN_PROGRESS, ExportStatus.ERROR}),
    ExportStatus.IN_PROGRESS: frozenset({ExportStatus.IN_PROGRESS, ExportStatus.READY, ExportStatus.ERROR}),
    ExportStatus.READY: frozenset({ExportStatus.READY, ExportStatus.DONE, ExportStatus.ERROR}),
    ExportStatus.DONE: frozenset(),
    ExportStatus.ERROR: frozenset({ExportStatus.SCHEDULED, ExportStatus.READY}),
}


# Settings that came later, and what they are unless asked for.
LATER_SETTINGS: Mapping[str, Any] = {"type": "changes", "may_end_early": False, "may_be_incomplete": False}


@dataclass(frozen=True)
class FtpTarget:
    """Where a file goes by FTP; the password is kept apart, encrypted.

    `temporary_name` is the pattern for its name until it is complete, None for the service's.
    """

    host: str
    port: int
    username: str
    folder: str | None = None
    tls: bool = False
    temporary_name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; what came later is left out unless it was asked for."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("temporary_name", None)}


@dataclass(frozen=True)
class ExportSettings:
    """What was asked for, normalised: equal requests give equal values.

    `start` and `end` are UTC, the window is [start, end). `origin_ids` are sorted and unique, empty for `all`;
    `contact_fields` are unique and in the order asked for. `type` is `changes` or `registrations`. With `may_end_early`
    a window of the past may be cut. With `may_be_incomplete` one whose first changes are no longer kept is exported all
    the same.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for the column `export.settings`.

        What came later is left out unless it was asked for: the key of a setting stays what it was before.
        """
        ftp = None if self.ftp is None else self.ftp.to_json()
        stored = vars(self) | {"start": self.start.isoformat(), "end": self.end.isoformat(), "ftp": ftp}
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
            }
        )

    def key(self, team: str = DEFAULT_TEAM) -> int:
        """Signed 64 bits, equal for the same setting of a team (contract, 4001)."""
        return setting_key(self.to_json(), team)


def setting_key(stored: Mapping[str, Any], team: str) -> int:
    """The key of a team's settings as they are stored, all but the notification_url; the password is none of them.

    The default team has the key that settings had before there were teams.
    """
    same = {name: value for name, value in stored.items() if name != "notification_url"}
    if team != DEFAULT_TEAM:
        same["team"] = team
    digest = hashlib.sha256(sorted_json(same).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True)
class Export:
    """One row of the table `export`; times are UTC.

    `deliveries` are the last attempts at another computer: `attempt`, `at` (ISO 8601) and its `reply`.
    `writers_since` is when it was first put off for those who change contacts. `notify_secret` is the whole
    notification URL, encrypted, where that in the settings is hidden in part.
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
    notify_due_at: datetime | None
    notify_attempts: int
    notified_at: datetime | None
    notify_error: str | None

    @property
    def waits_for_delivery(self) -> bool:
        """True when its file is to be sent to another computer."""
        return self.status is ExportStatus.READY and self.settings.ftp is not None


@dataclass(frozen=True)
class Caller:
    """Who sends a request. A limit that is None is the one of the settings. An operator sees every team's exports."""

    name: str
    team: str = DEFAULT_TEAM
    operator: bool = False
    compatible: bool = False
    requests_per_minute: int | None = None
    exports_per_user: int | None = None

    @property
    def rules(self) -> ClientRules:
        """What the caller may send."""
        return COMPATIBLE if self.compatible else STRICT

    def may_see(self, export: "Export") -> bool:
        """True when the caller's team asked for the export (contract, Request)."""
        return self.operator or export.team == self.team


@dataclass(frozen=True)
class ContactField:
    """A field of the catalogue and the column it stands for; `names` by language."""

    id: int
    name: str
    application_type: str
    column_name: str
    exportable: bool
    names: Mapping[str, str]

    def name_in(self, language: str) -> str:
        """The name in a language, in English, or as such, whichever exists first."""
        return self.names.get(language) or self.names.get("en") or self.name


@dataclass(frozen=True)
class Origin:
    """A form or an API source that contacts come from."""

    kind: str
    id: int
    name: str


@dataclass(frozen=True)
class Catalogue:
    """All origins and contact fields, as they were when read; `version` is raised with every change of them.

    `complete_from`: changes before it are no longer kept; None when nothing was ever dropped.
    """

    origins: tuple[Origin, ...]
    fields: Mapping[int, ContactField]
    version: int = 0
    complete_from: datetime | None = None

    def has_origin(self, kind: str, origin_id: int) -> bool:
        """True when a form (or API source) has this id."""
        return any(one.kind == kind and one.id == origin_id for one in self.origins)

    def complete_only_from(self, start: datetime) -> datetime | None:
        """From when on a window that begins at `start` is complete; None: from there on."""
        return self.complete_from if self.complete_from is not None and start < self.complete_from else None

    def is_exportable(self, field_id: int) -> bool:
        """True when the field exists and may be exported (contract: all but 27, 28, 29, 32 and 33)."""
        return field_id in self.fields and self.fields[field_id].exportable
