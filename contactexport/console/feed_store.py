"""Reads what the pages of feeds show. Nothing is written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contactexport.changes import log as change_log
from contactexport.console import feed_lines
from contactexport.console.feed_lines import Line, Run
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.feeds import store
from contactexport.feeds.models import Feed
from contactexport.users.models import Caller

FEEDS_PER_PAGE = 50  # with a line each, so that the first view of the page stays below 150 kB
MOST_WINDOWS = 31  # of a feed in the list: a month of nights
FILES_PER_PAGE = 50
MOST_EVENTS = 20


@dataclass(frozen=True)
class ShownFeed:
    """A feed with its line. `lag` is the time since its cursor, None before its first file."""

    feed: Feed
    line: Line
    lag: timedelta | None


@dataclass(frozen=True)
class FeedPage:
    """A page of the list, with lines from `since` to `now`. `has_more`: another page comes after it."""

    feeds: list[ShownFeed]
    has_more: bool
    since: datetime
    now: datetime


def list_feeds(context: Context, caller: Caller, days: float, after: tuple[int, str, str] | None) -> FeedPage:
    """FEEDS_PER_PAGE feeds that the caller may see, those after a place of `feeds.store`, with lines of `days`."""
    with context.database.transaction() as conn:
        now = change_log.clock(conn)
        since = now - timedelta(days=days)
        found = store.page(conn, caller, after, FEEDS_PER_PAGE + 1)
        shown = found[:FEEDS_PER_PAGE]
        scope = {"feed_ids": [feed.id for feed in shown], "since": since}
        runs = runs_by_feed(conn, MOST_WINDOWS, scope)
        late = late_by_feed(conn, scope)
    lines = [_shown(feed, runs, late, since, now, MOST_WINDOWS) for feed in shown]
    return FeedPage(lines, len(found) > FEEDS_PER_PAGE, since, now)


def with_line(conn: Connection, feed: Feed, days: float, most: int) -> ShownFeed:
    """One feed with its line of the last `days`."""
    now = change_log.clock(conn)
    since = now - timedelta(days=days)
    scope = {"feed_ids": [feed.id], "since": since}
    runs, late = runs_by_feed(conn, most, scope), late_by_feed(conn, scope)
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


def runs_by_feed(conn: Connection, most: int, scope: Mapping[str, Any]) -> Mapping[int, list[Run]]:
    """The ended runs of each feed, oldest first, at most `most` of the newest."""
    return {
        row["feed_id"]: list(map(Run, row["statuses"], row["starts"], row["ends"], row["finished"]))
        for row in queries("console_feeds").windows_of_feeds(conn, most=most, **scope)
    }


def late_by_feed(conn: Connection, scope: Mapping[str, Any]) -> Mapping[int, list[datetime]]:
    """When each feed was late."""
    found: dict[int, list[datetime]] = {}
    for row in queries("console_feeds").late_events(conn, **scope):
        found.setdefault(row["feed_id"], []).append(row["happened_at"])
    return found


def _shown(
    feed: Feed,
    runs: Mapping[int, list[Run]],
    late: Mapping[int, list[datetime]],
    since: datetime,
    now: datetime,
    most: int,
) -> ShownFeed:
    line = feed_lines.draw(feed, runs.get(feed.id, ()), late.get(feed.id, ()), since, now, most)
    return ShownFeed(feed, line, None if feed.cursor is None else now - feed.cursor)
