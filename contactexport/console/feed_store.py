"""Reads what the pages of feeds show. Nothing is written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contactexport.changes import log as change_log
from contactexport.console import feed_lines
from contactexport.console.feed_lines import Line
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.feeds import store
from contactexport.feeds.models import Feed
from contactexport.users.models import Caller

MOST_WINDOWS = 40  # of a feed in the list
FILES_PER_PAGE = 50
MOST_EVENTS = 20


@dataclass(frozen=True)
class ShownFeed:
    """A feed with its line. `lag` is the time since its cursor, None before its first file."""

    feed: Feed
    line: Line
    lag: timedelta | None


def list_feeds(context: Context, caller: Caller, days: float) -> tuple[list[ShownFeed], datetime, datetime]:
    """The feeds that the caller may see with their lines of the last `days`, and from when to when these are."""
    with context.database.transaction() as conn:
        now = change_log.clock(conn)
        since = now - timedelta(days=days)
        found = store.visible(conn, caller)
        scope = {"team": None if caller.sees_all else caller.team, "feed_id": None, "since": since}
        runs = _by_feed(queries("console_feeds").windows_of_feeds(conn, most=MOST_WINDOWS, **scope))
        late = _by_feed(queries("console_feeds").late_events(conn, **scope))
    return [_shown(feed, runs, late, since, now, MOST_WINDOWS) for feed in found], since, now


def with_line(conn: Connection, feed: Feed, days: float, most: int) -> ShownFeed:
    """One feed with its line of the last `days`."""
    now = change_log.clock(conn)
    since = now - timedelta(days=days)
    scope = {"team": None, "feed_id": feed.id, "since": since}
    runs = _by_feed(queries("console_feeds").windows_of_feeds(conn, most=most, **scope))
    late = _by_feed(queries("console_feeds").late_events(conn, **scope))
    return _shown(feed, runs, late, since, now, most)


def files_of(conn: Connection, feed: Feed, before: tuple[int, int] | None) -> tuple[list[dict[str, Any]], bool]:
    """FILES_PER_PAGE runs, newest first, those after the one with this sequence and id. True: there are older ones."""
    sequence, export_id = before or (None, None)
    rows = list(
        queries("console_feeds").files_of_feed(
            conn, feed_id=feed.id, before_sequence=sequence, before_id=export_id, most=FILES_PER_PAGE + 1
        )
    )
    return rows[:FILES_PER_PAGE], len(rows) > FILES_PER_PAGE


def events_of(conn: Connection, feed: Feed) -> list[dict[str, Any]]:
    """What the feed has told by itself, newest first."""
    return list(queries("console_feeds").events_of_feed(conn, feed_id=feed.id, most=MOST_EVENTS))


def _by_feed(rows: Sequence[dict[str, Any]]) -> Mapping[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["feed_id"], []).append(row)
    return found


def _shown(
    feed: Feed,
    runs: Mapping[int, list[dict[str, Any]]],
    late: Mapping[int, list[dict[str, Any]]],
    since: datetime,
    now: datetime,
    most: int,
) -> ShownFeed:
    moments = [one["happened_at"] for one in late.get(feed.id, ())]
    line = feed_lines.draw(feed, runs.get(feed.id, ()), moments, since, now, most)
    return ShownFeed(feed, line, None if feed.cursor is None else now - feed.cursor)
