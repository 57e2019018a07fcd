"""Makes sure that an export sees every change of its window: it waits for the transactions that change contacts now.

A transaction first takes the lock on contact_change (see the migration), then its changes get their time. So once the
transactions that hold the lock now have ended, a snapshot holds every change with a time before now. This stays true
when the clock is set back: the database functions contact_change_window_end and contact_change_time see to that.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from contactexport.db.connection import Connection, Database
from contactexport.db.queries import queries
from contactexport.errors import ExportFailed, ReplicaLags, WindowOpen

POLL_SECONDS = 0.05
MAX_NAMED = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WriterDetails:
    """A transaction that changes contacts. It belongs to a session (`pid`), or it is a prepared one (`gid`).

    `idle`: its session waits for its program.
    """

    writer: str
    pid: int | None
    user_name: str | None
    application: str | None
    idle: bool
    gid: str | None
    prepared: datetime | None


def writers_now(conn: Connection) -> dict[str, datetime | None]:
    """The transactions that are changing contacts now, with their start (None: unknown, maybe long ago)."""
    return {row["writer"]: row["started"] for row in queries("change").writers_now(conn)}


def settled_until(
    conn: Connection,
    start: datetime,
    end: datetime,
    most_seconds: float,
    require_wanted: Callable[[], None] = lambda: None,
    *,
    whole: bool = False,
) -> datetime:
    """The time up to which a snapshot taken after this call holds every change of [start, end).

    That is `end`, or now if `end` lies in the future. If a writer is still busy after `most_seconds`, it is the start
    of the writer, but never before `start`: its changes belong to the next window. With `whole` it is always `end`: an
    earlier one raises WindowOpen. `require_wanted` raises when nobody wants the export any more.
    """
    # `end`, or the database's time if that is earlier. No change that is made after this query gets an earlier time,
    # even if the clock is set back by less than a day.
    until: datetime = queries("change").window_end(conn, wanted=end)
    if whole and until < end:
        raise WindowOpen(f"The contacts database's clock is at {_shown(until)}, before the end of the window")
    if until <= start:
        return start  # the window has not begun, or it is empty
    give_up = time.monotonic() + most_seconds
    writers = writers_now(conn)
    busy = _still_busy(conn, writers, until, give_up, require_wanted)
    uncertain = busy
    is_joined = not (busy and whole) and queries("change").is_joined(conn)
    if is_joined:
        # Who began before the first writers ended may not have seen whose contacts it changes. All changes before the
        # first of them began are whole (docs/decisions/adopting.md).
        uncertain = writers
        busy = busy or _still_busy(conn, writers_now(conn), None, give_up, require_wanted)
    if not busy:
        return until
    named = _named(conn, busy)
    if whole:
        raise WindowOpen(f"Open transactions may still add changes to the window: {named}")
    logger.warning("still changing contacts: %s", named)
    cut = min(until, max(min((began or start for began in uncertain.values()), default=start), start))
    if is_joined:
        # Others may have ended since, with changes from before that whose contacts these writers have not seen.
        unseen = queries("change").first_unseen(conn, writers=[*uncertain, *busy], after=start, before=cut)
        cut = min(cut, unseen or cut)
    return cut


def _still_busy(
    conn: Connection,
    writers: dict[str, datetime | None],
    until: datetime | None,
    give_up: float,
    require_wanted: Callable[[], None],
) -> dict[str, datetime | None]:
    """Waits for the writers to end, and returns those that have not. Who began at `until` or later does not matter."""
    while True:
        writers = {
            writer: began for writer, began in writers.items() if began is None or until is None or began < until
        }
        if not writers or time.monotonic() >= give_up:
            return writers
        require_wanted()
        time.sleep(POLL_SECONDS)
        running = writers_now(conn)
        # Postgres may show the start of a new transaction late, and hides it once the transaction is prepared.
        writers = {writer: began or running[writer] for writer, began in writers.items() if writer in running}


def describe_writers(conn: Connection, writers: Iterable[str]) -> dict[str, WriterDetails]:
    """What this role may see of the `writers` from `writers_now`. Those that have ended are left out."""
    rows = queries("change").describe_writers(conn, writers=list(writers))
    return {row["writer"]: WriterDetails(**{**row, "idle": bool(row["idle"])}) for row in rows}


def _named(conn: Connection, writers: dict[str, datetime | None]) -> str:
    """One line for whoever has to end these transactions."""
    details = describe_writers(conn, writers)
    named = []
    for writer, started in writers.items():
        since = f" since {_shown(started)}" if started else " since an unknown time"
        known = details.get(writer)
        if known is None:
            named.append(f"transaction {writer}{since}")
        elif known.gid is not None and known.prepared is not None:
            prepared = f", prepared {_shown(known.prepared)}"
            named.append(f"prepared transaction {known.gid!r} of {known.user_name!r}{prepared}")
        else:
            user = f" of {known.user_name!r}" if known.user_name else ""
            application = f" in {known.application!r}" if known.application else ""
            idle = ", idle in transaction" if known.idle else ""
            named.append(f"process {known.pid}{user}{application}{since}{idle}")
    more = f", and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return ", ".join(named[:MAX_NAMED]) + more


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def settled_until_on_replica(
    contacts: Connection,
    primary: Database,
    start: datetime,
    end: datetime,
    require_wanted: Callable[[], None],
    *,
    writers_seconds: float,
    replica_seconds: float,
    whole: bool,
) -> datetime:
    """Like `settled_until`, for a contacts database that may be a read replica of `primary`.

    Writers hold their locks on the primary, so this waits for them there. Then it waits for the replica to catch up.
    Take the snapshot in the session `contacts`: another session may reach another replica. Raises ExportFailed if it is
    a replica of another server, ReplicaLags if it does not catch up in time, WindowOpen as `settled_until` does.
    """
    if not queries("replica").is_replica(contacts):
        return settled_until(contacts, start, end, writers_seconds, require_wanted, whole=whole)
    with primary.session() as source:
        replica_of, identity = (int(queries("replica").server_identity(conn)) for conn in (contacts, source))
        if replica_of != identity:
            raise ExportFailed("The contacts database is a read replica, but not one of CONTACTEXPORT_DATABASE_URL")
        until = settled_until(source, start, end, writers_seconds, require_wanted, whole=whole)
        position = queries("replica").log_position(source)
    _catch_up(contacts, position, replica_seconds, require_wanted)
    return until


def _catch_up(replica: Connection, position: str, most_seconds: float, require_wanted: Callable[[], None]) -> None:
    give_up = time.monotonic() + most_seconds
    while not queries("replica").has_replayed(replica, position=position):
        require_wanted()
        if time.monotonic() > give_up:
            raise ReplicaLags(ReplicaLags.status_text)
        time.sleep(POLL_SECONDS)
