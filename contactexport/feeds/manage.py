"""Adds, changes, pauses, resumes, resets and deletes feeds, and acknowledges their files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contactexport import audit
from contactexport.catalogue import Catalogue
from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.errors import DatabaseConflict, InvalidRequest, UsageError
from contactexport.exports.models import ALL_TIME, ExportSettings
from contactexport.feeds import store
from contactexport.feeds.errors import UnknownFeed
from contactexport.feeds.models import Feed, PauseKind
from contactexport.feeds.schedule import due_and_late, require_valid
from contactexport.moments import in_zone
from contactexport.users.manage import require_name
from contactexport.users.models import Caller

# With others, contacts that did not change would have other rows. So the next file has all contacts.
DECIDE_ROWS = ("origin", "origin_ids", "contact_fields", "language", "removed", "origin_column")


@dataclass(frozen=True)
class WantedFeed:
    """What somebody asks for. `start`: where the first window starts. None: the first run exports every contact.

    `ftp_password` is the FTP password, or the text of the SFTP credentials. It is None if files stay here.
    """

    name: str
    settings: ExportSettings
    ftp_password: str | None
    schedule: str | None
    start: datetime | None = None


def add(context: Context, wanted: WantedFeed, caller: Caller, team: str | None = None) -> Feed:
    """Adds a feed of the caller's team, or as an operator of another one. Raises InvalidRequest."""
    if team is not None:
        try:
            require_name("team", team)
        except UsageError as wrong:
            raise InvalidRequest(f"Invalid value for team: {wrong.text}") from None
    require_start(context, wanted.settings, wanted.start)
    shown_url, notify_secret = context.secrets.split_url(wanted.settings.notification_url)
    ftp_secret = None if wanted.ftp_password is None else context.secrets.encrypt(wanted.ftp_password)
    with context.database.transaction() as conn:
        schedule, due_at, next_late_at = _times(context, conn, wanted.schedule)
        columns = {
            "name": wanted.name,
            "team": team or caller.team,
            "created_by": caller.name,
            "settings": replace(wanted.settings, notification_url=shown_url),
            "ftp_secret": ftp_secret,
            "notify_secret": notify_secret,
            "cursor": wanted.start,
            "schedule": schedule,
            "due_at": due_at,
            "next_late_at": next_late_at,
        }
        feed = _found(conn, store.add(conn, columns))
    audit.note("feed added", feed=feed.name, user=caller.name)
    return feed


def change(context: Context, feed: Feed, wanted: WantedFeed, caller: Caller, *, same: Sequence[str] = ()) -> Feed:
    """Stores other settings of a feed as it was read. `same`: `target` or `notification_url`, to leave their secrets.

    If the rows of contacts would be others, the next run exports every contact, and an unfinished run is cancelled.
    A new password also serves the run that is under way. Raises InvalidRequest, and DatabaseConflict if somebody else
    has changed the feed meanwhile.
    """
    settings = wanted.settings
    shown_url, notify_secret = context.secrets.split_url(settings.notification_url)
    if "notification_url" in same:
        shown_url, notify_secret = feed.settings.notification_url, feed.notify_secret
    settings = replace(settings, notification_url=shown_url)
    new_password = settings.remote is not None and "target" not in same
    ftp_secret = context.secrets.encrypt(wanted.ftp_password or "") if new_password else feed.ftp_secret
    with context.database.transaction() as conn:
        now = store.locked(conn, feed.id)
        if now is None:
            raise UnknownFeed(feed.name)
        if (now.settings, now.schedule, now.ftp_secret) != (feed.settings, feed.schedule, feed.ftp_secret):
            raise DatabaseConflict(f"Somebody else has just changed the feed {feed.name}")
        changed = replace(
            now,
            settings=settings,
            ftp_secret=None if settings.remote is None else ftp_secret,
            notify_secret=notify_secret,
        )
        if wanted.schedule != now.schedule:
            schedule, due_at, late_at = _times(context, conn, wanted.schedule)
            changed = replace(changed, schedule=schedule, due_at=due_at, next_late_at=late_at, late_at=late_at)
        store.change(conn, changed)
        if new_password:
            store.renew_password(conn, changed)
        if any(getattr(settings, name) != getattr(now.settings, name) for name in DECIDE_ROWS):
            _start_at(conn, changed, None, caller)
        feed = _found(conn, feed.id)
    audit.note("feed changed", feed=feed.name, user=caller.name)
    return feed


def pause(context: Context, feed: Feed, caller: Caller) -> Feed:
    """No run starts until it is resumed. One that is under way goes on. Nothing is lost."""
    with context.database.transaction() as conn:
        if store.pause(conn, feed.id, PauseKind.ASKED, f"{caller.name} has paused it", caller.name):
            audit.note("feed paused", feed=feed.name, user=caller.name)
        return _found(conn, feed.id)


def resume(context: Context, feed: Feed, caller: Caller) -> Feed:
    """Ends a pause. Times that were missed are made up by one run.

    A feed that paused because its columns would change then exports every contact with the new ones. Raises
    InvalidRequest if fields of it are gone, or if the log no longer has its next window: only a reset helps then.
    """
    catalogue = context.catalogue.current()
    with context.database.transaction() as conn:
        now = store.locked(conn, feed.id)
        if now is None:
            raise UnknownFeed(feed.name)
        if now.paused_at is None:
            return now
        if now.pause_kind is PauseKind.LOG:
            raise InvalidRequest(f"The feed {now.name} cannot go on: {now.pause_reason}")
        if gone := [field for field in now.settings.contact_fields if not catalogue.is_exportable(field)]:
            raise InvalidRequest(f"Invalid contact field id: {', '.join(map(str, gone))}")
        if now.pause_kind is PauseKind.COLUMNS:
            _start_at(conn, now, None, caller)
        _go_on(context, conn, now, caller)
        return _found(conn, feed.id)


def reset(context: Context, feed: Feed, start: datetime | None, caller: Caller) -> Feed:
    """The next window starts at `start`. None: the next run exports every contact. An unfinished run is cancelled.

    Ends the pause of a feed that paused itself for a reason that is gone then. Raises InvalidRequest if the log does
    not reach back to `start`, or if that is in the future.
    """
    require_start(context, feed.settings, start)
    with context.database.transaction() as conn:
        now = store.locked(conn, feed.id)
        if now is None:
            raise UnknownFeed(feed.name)
        _start_at(conn, now, start, caller)
        if now.pause_kind is PauseKind.LOG or (now.pause_kind is PauseKind.COLUMNS and start is None):
            _go_on(context, conn, now, caller)
        audit.note("feed reset", feed=feed.name, user=caller.name, cursor=start and start.isoformat())
        return _found(conn, feed.id)


def delete(context: Context, feed: Feed, caller: Caller) -> None:
    """Deletes the feed and cancels its unfinished run. Its exports and files stay."""
    with context.database.transaction() as conn:
        now = store.locked(conn, feed.id)
        if now is None:
            raise UnknownFeed(feed.name)
        _end_run(conn, now, caller)
        store.delete(conn, now)
    audit.note("feed deleted", feed=feed.name, user=caller.name)


def acknowledge(context: Context, feed: Feed, sequence: int, caller: Caller) -> Feed:
    """Notes that the caller has the file with this number. One that is acknowledged already stays so.

    Raises InvalidRequest for any other than the oldest that is not acknowledged: a reader must not skip one.
    """
    with context.database.transaction() as conn:
        if not store.acknowledge(conn, feed, sequence):
            now = _found(conn, feed.id)
            if sequence > now.sequence:
                raise InvalidRequest(f"Invalid value for sequence: {sequence}: the last file has {now.sequence}")
            if sequence > now.acknowledged or sequence < 1:
                raise InvalidRequest(f"Invalid value for sequence: {sequence}: {now.acknowledged + 1} comes first")
            return now
        audit.note("feed acknowledged", feed=feed.name, user=caller.name, sequence=sequence)
        return _found(conn, feed.id)


def _times(
    context: Context, conn: Connection, schedule: str | None
) -> tuple[str | None, datetime | None, datetime | None]:
    """The checked schedule, when it is due next, and when that is late."""
    now, zone = change_log.clock(conn), context.settings.time_zone
    if schedule is not None:
        schedule = require_valid(schedule, now, zone)
    return schedule, *due_and_late(schedule, now, zone)


def _found(conn: Connection, feed_id: int) -> Feed:
    feed = store.find(conn, feed_id)
    if feed is None:
        raise UnknownFeed(str(feed_id))
    return feed


def require_start(context: Context, settings: ExportSettings, start: datetime | None) -> None:
    """Raises InvalidRequest if a window cannot start there: in the future, or before the log of changes."""
    if start is None:
        return
    with context.contacts.autocommit() as conn:
        catalogue, now = Catalogue.read(conn), change_log.clock(conn)
    shown = in_zone(start, context.settings.time_zone).isoformat()
    if not ALL_TIME[0] <= start <= now:
        raise InvalidRequest(f"Invalid value for from: {shown}: a time in the past expected")
    lost = [catalogue.complete_only_from(start), catalogue.removals_only_from(start) if settings.removed else None]
    if since := max((one for one in lost if one is not None), default=None):
        kept = in_zone(since, context.settings.time_zone).isoformat()
        raise InvalidRequest(f"Invalid value for from: {shown}: the log is complete from {kept} on")


def _start_at(conn: Connection, feed: Feed, cursor: datetime | None, caller: Caller) -> None:
    """The unfinished run would move the cursor when it is done, so it is cancelled."""
    _end_run(conn, feed, caller)
    store.move_cursor(conn, feed, cursor)


def _end_run(conn: Connection, feed: Feed, caller: Caller) -> None:
    export_id = store.end_run(conn, feed)
    if export_id is not None:
        audit.note("export cancelled", export=export_id, user=caller.name)


def _go_on(context: Context, conn: Connection, feed: Feed, caller: Caller) -> None:
    """If the feed has missed a time, the run that makes it up is late at the next one."""
    now, late_at = change_log.clock(conn), feed.next_late_at
    if feed.due_at is not None and feed.due_at <= now:
        late_at, _ = due_and_late(feed.schedule, now, context.settings.time_zone)
    store.resume(conn, feed, late_at)
    audit.note("feed resumed", feed=feed.name, user=caller.name)
