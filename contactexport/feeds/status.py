"""A feed as the API and the command line show it."""

from datetime import datetime, tzinfo
from typing import Any

from contactexport.context import Context
from contactexport.delivery.encoding import shown_form
from contactexport.exports.models import ExportSettings
from contactexport.feeds.models import Feed
from contactexport.moments import in_zone


def payload(context: Context, feed: Feed) -> dict[str, Any]:
    """The feed without its secrets. Times are in the service's time zone."""
    zone, settings, target = context.settings.time_zone, feed.settings, feed.settings.remote
    return {
        "name": feed.name,
        "team": feed.team,
        "created": f"{in_zone(feed.created_at, zone):%Y-%m-%d %H:%M:%S}",
        "created_by": feed.created_by,
        "schedule": feed.schedule,
        "next_run": _iso(feed.due_at, zone) if feed.paused_at is None else None,
        "running": feed.running_export and str(feed.running_export),
        "sequence": feed.sequence,
        "last_manifest_sha256": feed.last_manifest_sha256,
        "cursor": _iso(feed.cursor, zone),
        "acknowledged": feed.acknowledged,
        "late": feed.late_told_at is not None,
        "paused": feed.paused_at is not None,
        "paused_since": _iso(feed.paused_at, zone),
        "pause_reason": feed.pause_reason,
        "columns": None if feed.columns is None else [list(column) for column in feed.columns],
        **asked(settings),
        "ftp_host": target.host if target else None,
        "ftp_dir": target.folder if target else None,
        **shown_form(settings),
    }


def asked(settings: ExportSettings) -> dict[str, Any]:
    """The parameters of getchanges that ask for these settings, but for where the files go."""
    return {
        "distribution_method": settings.distribution_method,
        "origin": settings.origin,
        "origin_id": list(settings.origin_ids),
        "contact_fields": list(settings.contact_fields),
        "delimiter": settings.delimiter,
        "add_field_names_header": int(settings.header),
        "language": settings.language,
        "removed": int(settings.removed),
        "origin_column": int(settings.origin_column),
    }


def event_payload(context: Context, feed: Feed, event: str, reason: str, happened_at: datetime) -> dict[str, Any]:
    """The notification about a feed: what happened, and where the feed stands."""
    zone = context.settings.time_zone
    return {
        "event": event,
        "feed": feed.name,
        "team": feed.team,
        "sequence": feed.sequence,
        "cursor": _iso(feed.cursor, zone),
        "happened": _iso(happened_at, zone),
        "reason": reason,
    }


def _iso(moment: datetime | None, zone: tzinfo) -> str | None:
    return None if moment is None else in_zone(moment, zone).isoformat()
