"""Feeds, their runs, and time that passes for them."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.exports import deliver
from contactexport.exports import run as run_export
from contactexport.exports.models import ALL_TIME, Export, FtpTarget
from contactexport.feeds import run as feed_run
from contactexport.feeds import schedule, store
from contactexport.feeds.models import Feed
from tests.support.exporting import execute, settings_for

TIMES = ("due_at", "planned_at", "next_late_at", "late_at")
NIGHTLY = "0 2 * * *"


def add_feed(
    context: Context,
    name: str = "nightly",
    *,
    cron: str | None = NIGHTLY,
    cursor: datetime | None = None,
    team: str = "default",
    created_by: str = "tester",
    password: str | None = None,
    **settings: Any,
) -> Feed:
    """A feed of form 123 with removed contacts, local unless the settings say otherwise."""
    values = {
        "start": ALL_TIME[0],
        "end": ALL_TIME[1],
        "may_end_early": True,
        "removed": True,
        "header": True,
    } | settings
    with context.database.transaction() as conn:
        due_at, next_late_at = schedule.due_and_late(cron, change_log.clock(conn), context.settings.time_zone)
        feed_id = store.add(
            conn,
            {
                "name": name,
                "team": team,
                "created_by": created_by,
                "settings": settings_for(**values),
                "ftp_secret": None if password is None else context.secrets.encrypt(password),
                "notify_secret": None,
                "cursor": cursor,
                "schedule": cron,
                "due_at": due_at,
                "next_late_at": next_late_at,
            },
        )
    return feed_of(context, feed_id)


def to_ftp(port: int, folder: str | None = "in") -> dict[str, Any]:
    """Settings of a feed that goes to a host of the tests."""
    return {"distribution_method": "ftp", "ftp": FtpTarget("127.0.0.1", port, "user", folder)}


def feed_of(context: Context, feed_id: int) -> Feed:
    with context.database.transaction() as conn:
        found = store.find(conn, feed_id)
    assert found is not None
    return found


def let_pass_for_feeds(context: Context, passed: timedelta) -> None:
    """Moves the due times of all feeds back, as if that much time had passed."""
    moved = ", ".join(f"{name} = {name} - %(passed)s" for name in TIMES)
    execute(context, f"UPDATE feed SET {moved}", {"passed": passed})


def run_feed(context: Context, feed: Feed) -> Export:
    """Starts a run now and does its first attempt."""
    return attempt(context, feed_run.start(context, feed.id))


def attempt(context: Context, export_id: int) -> Export:
    """Does the next attempt of a run."""
    export = run_export.run(context, export_id)
    assert export is not None, "nothing to do"
    return export


def file_of(context: Context, export: Export) -> Path:
    return deliver.stored_file(context, export)


def lines_of(context: Context, export: Export) -> list[str]:
    return file_of(context, export).read_text().splitlines()


def runs_of(context: Context, feed: Feed) -> list[dict[str, Any]]:
    """The runs of a feed, oldest first."""
    return execute(
        context, "SELECT id, status, feed_sequence, error FROM export WHERE feed_id = %s ORDER BY id", (feed.id,)
    )


def log_pruned_until(context: Context, until: datetime) -> None:
    """As if the log was pruned: it is complete from then on only."""
    execute(context, "UPDATE contact_log_horizon SET complete_from = %s, removals_from = %s", (until, until))


def rename_field(context: Context, field_id: int, name: str) -> None:
    execute(
        context,
        "UPDATE contact_field SET names = jsonb_set(names, '{en}', to_jsonb(%s::text)) WHERE id = %s",
        (name, field_id),
    )


def events_of(context: Context, feed: Feed) -> list[tuple[str, str]]:
    """What the feed has told by itself, oldest first."""
    found = execute(context, "SELECT event, reason FROM feed_event WHERE feed_id = %s ORDER BY id", (feed.id,))
    return [(row["event"], row["reason"]) for row in found]
