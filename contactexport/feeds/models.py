"""The record of a feed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from contactexport.exports.models import ALL_TIME, ExportSettings, setting_key
from contactexport.users.models import DEFAULT_TEAM

WINDOW = {"start": ALL_TIME[0].isoformat(), "end": ALL_TIME[1].isoformat()}


class PauseKind(StrEnum):
    """Why a feed is paused: somebody asked for it, its columns would change, or the log is pruned."""

    ASKED = "asked"
    COLUMNS = "columns"
    LOG = "log"


@dataclass(frozen=True)
class Feed:
    """One row of the table `feed`. Times are UTC.

    `settings` are those of its exports: the window and the type are of each run. `cursor` is where the next window
    starts. None: the next run exports every contact. `sequence` and `columns` are those of the last delivered file,
    `acknowledged` is the last sequence that somebody who pulls the files has. `late_at`: when the run that is owed is
    late. `next_late_at`: the same of the one after it. `running_export` is its unfinished export.
    """

    id: int
    name: str
    team: str
    created_by: str
    created_at: datetime
    settings: ExportSettings
    ftp_secret: bytes | None
    notify_secret: bytes | None
    cursor: datetime | None
    sequence: int
    columns: list[tuple[int | None, str]] | None
    last_manifest_sha256: str | None
    acknowledged: int
    pulled_at: datetime | None
    schedule: str | None
    due_at: datetime | None
    next_late_at: datetime | None
    late_at: datetime | None
    late_told_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    pause_kind: PauseKind | None
    pause_reason: str | None
    running_export: int | None

    @property
    def run_settings(self) -> ExportSettings:
        """Those of its next run. The window ends when the contacts are read, however late that is."""
        if self.cursor is None:
            return replace(self.settings, type="full")
        return replace(self.settings, start=self.cursor)


def stored_settings(settings: ExportSettings) -> dict[str, Any]:
    """Plain values for the column `feed.settings`."""
    return {name: value for name, value in settings.to_json().items() if name not in WINDOW and name != "type"}


def read_settings(stored: Mapping[str, Any]) -> ExportSettings:
    """The inverse of `stored_settings`. The window is all time."""
    return ExportSettings.from_json({**stored, **WINDOW})


def feed_key(feed_id: int) -> int:
    """The setting key of every run of a feed, whatever its settings. So there is one at a time."""
    return setting_key({"feed": feed_id}, DEFAULT_TEAM)
