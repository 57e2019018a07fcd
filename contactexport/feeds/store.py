"""Reads and writes the table `feed`. What changes a feed and its run locks the feed first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from psycopg2.errors import UniqueViolation
from psycopg2.extras import Json

from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import InvalidRequest
from contactexport.exports.models import sorted_json
from contactexport.feeds.errors import UnknownFeed
from contactexport.feeds.models import Feed, PauseKind, feed_key, read_settings, stored_settings
from contactexport.users.models import Caller

FEED_COLUMNS = tuple(column.name for column in fields(Feed))
_QUERIES = queries("feed")


@dataclass(frozen=True)
class PlannedRun:
    """A run that is to start, and when the next one of its feed is due and late."""

    feed: Feed
    suffix: str
    request_id: str
    due_at: datetime | None
    next_late_at: datetime | None


def add(conn: Connection, feed: Mapping[str, Any]) -> int:
    """Adds a feed with these columns and returns its id. Raises InvalidRequest if the team has one of this name."""
    try:
        return int(_QUERIES.add_feed(conn, **{**feed, "settings": Json(stored_settings(feed["settings"]))}))
    except UniqueViolation:
        raise InvalidRequest(f"Invalid value for name: {feed['name']}: there is such a feed already") from None


def visible(conn: Connection, caller: Caller, team: str | None = None) -> list[Feed]:
    """The feeds that the caller may see, by team and name. `team`: only those of this one."""
    if not caller.sees_all:
        team = caller.team if team in (None, caller.team) else ""
    return [_feed(row) for row in _QUERIES.find_feeds(conn, team=team, name=None)]


def page(conn: Connection, caller: Caller, after: tuple[int, str, str] | None, most: int) -> list[Feed]:
    """At most `most` of the feeds that the caller may see: paused, late, then the others, by team and name.

    `after`: `place` of the last feed on the page before.
    """
    rank, team, name = after or (None, None, None)
    rows = _QUERIES.page_of_feeds(
        conn,
        team=None if caller.sees_all else caller.team,
        after_rank=rank,
        after_team=team,
        after_name=name,
        most=most,
    )
    return [_feed(row) for row in rows]


def place(feed: Feed) -> tuple[int, str, str]:
    """Where a feed is in the order of `page`."""
    rank = 0 if feed.paused_at is not None else 1 if feed.late_told_at is not None else 2
    return rank, feed.team, feed.name


def get_visible(conn: Connection, name: str, caller: Caller, team: str | None = None) -> Feed:
    """The feed, if the caller may see it. An operator's own team comes first. Raises UnknownFeed, and InvalidRequest
    when several other teams have a feed of this name.
    """
    if not caller.sees_all:
        team = caller.team if team in (None, caller.team) else ""
    found = [_feed(row) for row in _QUERIES.find_feeds(conn, team=team, name=name)]
    own = [feed for feed in found if feed.team == caller.team]
    if len(found) > 1 and not own:
        teams = ", ".join(feed.team for feed in found)
        raise InvalidRequest(f"Invalid value for team: {team or ''}: {name} is a feed of the teams {teams}, name one")
    if not found:
        raise UnknownFeed(name)
    return (own or found)[0]


def find(conn: Connection, feed_id: int) -> Feed | None:
    """The feed. None: it was deleted."""
    row = _QUERIES.get_feed(conn, id=feed_id)
    return _feed(row) if row else None


def locked(conn: Connection, feed_id: int) -> Feed | None:
    """The feed, locked until the transaction ends. None: it was deleted. Other runs and changes of it wait."""
    return None if _QUERIES.lock_feed(conn, id=feed_id) is None else find(conn, feed_id)


def lock_due(conn: Connection, most: int) -> list[Feed]:
    """At most `most` feeds that are due and idle, locked until the transaction ends. Those due longest first."""
    return [_feed(row) for row in _QUERIES.lock_due_feeds(conn, most=most)]


def lock_planned_in_future(conn: Connection) -> list[Feed]:
    """Feeds that were planned when the clock was more than a day ahead of now, locked until the transaction ends."""
    return [_feed(row) for row in _QUERIES.lock_planned_in_future(conn)]


def plan(conn: Connection, feed: Feed, due_at: datetime | None, next_late_at: datetime | None) -> None:
    """Sets when a feed is due and late."""
    _QUERIES.plan_feed(conn, id=feed.id, due_at=due_at, next_late_at=next_late_at)


def start_runs(conn: Connection, runs: Sequence[PlannedRun]) -> dict[int, int]:
    """Stores an export for each of these locked feeds, all in one statement. Returns the export's id by the feed's.

    Left out are feeds that have an unfinished run.
    """
    stored = [
        {
            "feed_id": run.feed.id,
            "settings": run.feed.run_settings.to_json(),
            "setting_key": feed_key(run.feed.id),
            "suffix": run.suffix,
            "request_id": run.request_id,
            "due_at": run.due_at and run.due_at.isoformat(),
            "next_late_at": run.next_late_at and run.next_late_at.isoformat(),
        }
        for run in runs
    ]
    return {row["feed_id"]: row["id"] for row in _QUERIES.start_runs(conn, runs=Json(stored))}


def change(conn: Connection, feed: Feed) -> None:
    """Stores settings, secrets and schedule."""
    _QUERIES.change_feed(
        conn,
        id=feed.id,
        settings=Json(stored_settings(feed.settings)),
        ftp_secret=feed.ftp_secret,
        notify_secret=feed.notify_secret,
        schedule=feed.schedule,
        due_at=feed.due_at,
        next_late_at=feed.next_late_at,
        late_at=feed.late_at,
    )


def renew_password(conn: Connection, feed: Feed) -> None:
    """Gives the feed's credentials to a run that is under way to the same host and user. It is delivered at once."""
    method = feed.settings.distribution_method
    target = sorted_json(feed.settings.to_json()[method])
    _QUERIES.renew_ftp_secret(conn, id=feed.id, ftp_secret=feed.ftp_secret, method=method, target=target)


def move_cursor(conn: Connection, feed: Feed, cursor: datetime | None) -> None:
    """The next window starts there. None: the next run exports every contact."""
    _QUERIES.move_cursor(conn, id=feed.id, cursor=cursor)


def end_run(conn: Connection, feed: Feed) -> int | None:
    """Cancels the unfinished run of a locked feed and returns its id. None: there is none.

    The session of its worker is ended, as that of any cancelled export. The sweep deletes its file.
    """
    ended = queries("export").cancel_export(conn, id=feed.running_export)
    if ended is None:
        return None
    queries("export").note_file_deleted(conn, id=ended["id"])
    list(queries("advisory_lock").end_holder(conn, key=ended["setting_key"]))
    return int(ended["id"])


def delete(conn: Connection, feed: Feed) -> None:
    """Deletes the feed. Its exports stay."""
    _QUERIES.delete_feed(conn, id=feed.id)


def pause(conn: Connection, feed_id: int, kind: PauseKind, reason: str, by: str | None = None) -> bool:
    """Pauses the feed. A feed that pauses itself tells its receiver. False: it was paused already, or is gone."""
    if _QUERIES.pause_feed(conn, id=feed_id, kind=str(kind), reason=reason, paused_by=by) is None:
        return False
    if kind is not PauseKind.ASKED:
        _QUERIES.note_event(conn, id=feed_id, event="feed paused", reason=reason)
    return True


def resume(conn: Connection, feed: Feed, late_at: datetime | None) -> None:
    """Ends the pause. `late_at`: when the next run is late."""
    _QUERIES.resume_feed(conn, id=feed.id, late_at=late_at)


def note_late(conn: Connection) -> list[tuple[int, str]]:
    """Notes each feed that is late and was not noted yet. Returns their ids, and why they are late."""
    return [(row["feed_id"], row["reason"]) for row in _QUERIES.note_late(conn)]


def note_pulled(conn: Connection, feed: Feed) -> None:
    """Notes that somebody pulls the files, so that they stay until they are acknowledged."""
    _QUERIES.note_pulled(conn, id=feed.id)


def acknowledge(conn: Connection, feed: Feed, sequence: int) -> bool:
    """Notes that the file with this sequence has arrived. False: it is not the oldest that is not acknowledged."""
    return bool(_QUERIES.acknowledge(conn, id=feed.id, sequence=sequence))


def delivered_export(conn: Connection, feed: Feed, sequence: int) -> int | None:
    """The id of the export that delivered this sequence. None: there is none yet."""
    found = _QUERIES.delivered_export(conn, id=feed.id, sequence=sequence)
    return None if found is None else int(found)


def newest_export(conn: Connection, feed: Feed) -> int | None:
    """The id of the newest run. None: there was none yet."""
    found = _QUERIES.newest_export(conn, id=feed.id)
    return None if found is None else int(found)


def _feed(row: Mapping[str, Any]) -> Feed:
    known = {name: row[name] for name in FEED_COLUMNS}
    secrets = {name: None if row[name] is None else bytes(row[name]) for name in ("ftp_secret", "notify_secret")}
    return Feed(
        **known
        | {
            "settings": read_settings(row["settings"]),
            "columns": row["columns"] and [(field_id, name) for field_id, name in row["columns"]],
            "pause_kind": row["pause_kind"] and PauseKind(row["pause_kind"]),
        }
        | secrets
    )
