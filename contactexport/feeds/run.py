"""Starts the runs of feeds: those that are due, and those that somebody asks for.

A run is an export like any other, with the feed's number. Its row, and when the feed is due again, are written in one
transaction. So if the process dies here, there is one run or none.
"""

import logging
import secrets
from datetime import datetime

from contactexport import audit, crash_points, log_context
from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.errors import ExportAlreadyRunning
from contactexport.feeds import store
from contactexport.feeds.errors import FeedPaused, UnknownFeed
from contactexport.feeds.models import Feed
from contactexport.feeds.schedule import due_and_late
from contactexport.feeds.store import PlannedRun

BATCH = 200  # feeds in one transaction

logger = logging.getLogger(__name__)


def start_due(context: Context) -> int:
    """Starts a run of every feed that is due, has no unfinished run, and is not paused. Returns their number.

    A time that was missed, however often, is made up once. Several processes may do it at once: each takes others.
    """
    with context.database.transaction() as conn:
        for feed in store.lock_planned_in_future(conn):
            store.plan(conn, feed, *due_and_late(feed.schedule, change_log.clock(conn), context.settings.time_zone))
            logger.warning("feed planned anew, because the clock was set back: feed=%s", feed.name)
    started = 0
    while True:
        with context.database.transaction() as conn:
            feeds = store.lock_due(conn, BATCH)
            now = change_log.clock(conn)
            plans = {feed.id: _planned(context, feed, now) for feed in feeds}
            runs = store.start_runs(conn, list(plans.values())) if feeds else {}
        for feed in feeds:
            if feed.id in runs:
                _tell_started(feed, runs[feed.id], plans[feed.id].request_id)
        started += len(runs)
        if len(feeds) < BATCH or not runs:
            return started


def start(context: Context, feed_id: int) -> int:
    """Starts a run of this feed now and returns its export's id. No worker is woken.

    Raises FeedPaused, UnknownFeed, and ExportAlreadyRunning if its last run has not ended.
    """
    with context.database.transaction() as conn:
        feed = store.locked(conn, feed_id)
        if feed is None:
            raise UnknownFeed(str(feed_id))
        if feed.running_export is not None:
            raise ExportAlreadyRunning(feed.running_export)
        if feed.paused_at is not None:
            raise FeedPaused(feed.name, feed.pause_reason)
        plan = _planned(context, feed, change_log.clock(conn))
        runs = store.start_runs(conn, [plan])
    _tell_started(feed, runs[feed.id], plan.request_id)
    return runs[feed.id]


def _planned(context: Context, feed: Feed, now: datetime) -> PlannedRun:
    """A run that is asked for before it is due does not take the place of the one that is due.

    One that nobody asks for has an id of its own in the log.
    """
    due_at, next_late_at = feed.due_at, feed.next_late_at
    if due_at is None or due_at <= now:
        due_at, next_late_at = due_and_late(feed.schedule, now, context.settings.time_zone)
    request_id = log_context.request_id() or log_context.new_id()
    return PlannedRun(feed, secrets.token_hex(3), request_id, due_at, next_late_at)


def _tell_started(feed: Feed, export_id: int, request_id: str) -> None:
    crash_points.reach("feed started")
    with log_context.about(request_id):
        audit.note("feed started", export=export_id, user=feed.created_by, feed=feed.name, sequence=feed.sequence + 1)
