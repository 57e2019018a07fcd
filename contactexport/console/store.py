"""What the pages about exports read, and nothing else. A viewer of one team gets the rows of that team only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contactexport.console.blueprint import Viewer
from contactexport.db.connection import Connection
from contactexport.db.queries import queries

PAGE_SIZE = 50
# A filter without an index looks at so many exports for a page.
MOST_LOOKED_AT = 10_000
# Percentiles of many exports are those of so many of them.
MOST_TIMED = 5_000
MOST_SHOWN = 8

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Filters:
    """What the list of exports shows. None: any. `text` is lower case."""

    status: str | None = None
    unfinished: bool = False
    created_by: str | None = None
    origin: str | None = None
    origin_id: int | None = None
    text: str | None = None


@dataclass(frozen=True)
class Page:
    """Exports, newest first. `older_than`: where the next page begins. None: there is none."""

    exports: Sequence[Row]
    older_than: int | None
    looked_at: int | None = None


def list_exports(conn: Connection, viewer: Viewer, filters: Filters, before: int | None) -> Page:
    """One page. With a filter that no index helps it may have few exports, or none, and still a next page."""
    asked = {
        "team": _team(viewer),
        "status": filters.status,
        "unfinished": filters.unfinished,
        "created_by": filters.created_by,
        "before": before,
        "most": PAGE_SIZE + 1,
    }
    if filters.origin is None and filters.text is None:
        found = list(queries("console").list_newest(conn, **asked))
        return Page(found[:PAGE_SIZE], found[PAGE_SIZE - 1]["id"] if len(found) > PAGE_SIZE else None)
    rows = list(
        queries("console").list_exports(
            conn,
            **asked,
            most_looked_at=MOST_LOOKED_AT,
            origin=filters.origin,
            origin_id=None if filters.origin_id is None else str(filters.origin_id),
            text=filters.text,
        )
    )
    bounds, found = rows[0], [row for row in rows if row["id"] is not None]
    older_than = None
    if len(found) > PAGE_SIZE:
        older_than = found[PAGE_SIZE - 1]["id"]
    elif bounds["looked_at"] == MOST_LOOKED_AT:
        older_than = bounds["last_looked_at"]
    return Page(found[:PAGE_SIZE], older_than, bounds["looked_at"])


def progress(conn: Connection, export_id: int) -> Row:
    """How far the running attempt has come."""
    row: Row = queries("console").progress(conn, id=export_id)
    return row


def history(conn: Connection, export_id: int) -> list[Row]:
    """What happened to an export, in order. Empty if that is long ago."""
    return list(queries("console").history(conn, id=export_id))


def running(conn: Connection, viewer: Viewer) -> list[Row]:
    """Unfinished exports, those that write first."""
    return list(queries("console").running(conn, team=_team(viewer), most=MOST_SHOWN))


def queue(conn: Connection, viewer: Viewer, patience: float) -> Row:
    """Counts of unfinished exports. One is overdue that nobody holds `patience` seconds after it was due."""
    row: Row = queries("console").needs_attention(conn, team=_team(viewer), patience=patience)
    return row


def latest_errors(conn: Connection, viewer: Viewer) -> list[Row]:
    """Why exports ended in error in the last day, how many, and the newest of each. One more than are shown, if any."""
    return list(queries("console").latest_errors(conn, team=_team(viewer), most=MOST_SHOWN + 1))


def feeds_in_trouble(conn: Connection, viewer: Viewer) -> list[Row]:
    """Feeds that have paused themselves or are late."""
    return list(queries("console").feeds_in_trouble(conn, team=_team(viewer), most=MOST_SHOWN))


def ended(conn: Connection, viewer: Viewer, begins: Sequence[datetime], ends: Sequence[datetime]) -> list[Row]:
    """How exports ended in each part of a period: how many, their rows, and how long they waited and ran."""
    team = _team(viewer)
    exports = queries("console").count_ended(conn, since=begins[0], team=team)
    found = queries("console").ended_by_time(
        conn, begins=list(begins), ends=list(ends), team=team, one_of=max(exports // MOST_TIMED, 1)
    )
    return list(found)


def _team(viewer: Viewer) -> str | None:
    return None if viewer.sees_all else viewer.team
