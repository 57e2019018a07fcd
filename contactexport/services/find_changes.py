"""Makes sure that an export sees every change of its window: waits for those who are changing contacts right now.

A change gets its time after its transaction has taken the lock on contact_change (see the migration). So once the
transactions that hold that lock now have ended, a snapshot holds every change with a time before now. The database's
functions contact_change_window_end and contact_change_time see to it that this holds after the clock was set back.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from contactexport.db import change_repository, replica_repository
from contactexport.db.change_repository import WriterDetails
from contactexport.db.connection import Connection, Database
from contactexport.errors import ExportFailed, ReplicaLags, WindowOpen

POLL_SECONDS = 0.05
MOST_NAMED = 3

logger = logging.getLogger(__name__)


def settle(
    conn: Connection,
    start: datetime,
    end: datetime,
    most_seconds: float,
    require_wanted: Callable[[], None] = lambda: None,
    *,
    whole: bool = False,
) -> datetime:
    """The time up to which a snapshot taken after this call holds every change of [start, end).

    That is `end`, or now when `end` lies in the future; if a writer is still busy after so many seconds, its start
    (never before `start`): its changes belong to the next window. `require_wanted` raises when nobody waits any more.
    A window that must be exported `whole` always ends at `end`: instead of a sooner end WindowOpen is raised.
    """
    until = change_repository.window_end(conn, end)
    if whole and until < end:
        raise WindowOpen(f"The contacts database's clock is at {_shown(until)}, before the end of the window")
    if until <= start:
        return start  # nothing of the window has come yet, or it is empty
    waited_for = _begun_before(until, change_repository.writers_now(conn))
    give_up = time.monotonic() + most_seconds
    while waited_for and time.monotonic() < give_up:
        require_wanted()
        time.sleep(POLL_SECONDS)
        running = change_repository.writers_now(conn)
        # The start is not told of one that has just begun, nor any more of one that has been prepared meanwhile.
        known = {writer: started or running[writer] for writer, started in waited_for.items() if writer in running}
        waited_for = _begun_before(until, known)
    if not waited_for:
        return until
    named = _named(conn, waited_for)
    if whole:
        raise WindowOpen(f"Still changing contacts, maybe of the window: {named}")
    logger.warning("still changing contacts: %s", named)
    return max(min(started or start for started in waited_for.values()), start)


def _named(conn: Connection, writers: dict[str, datetime | None]) -> str:
    """One line for whoever has to end these transactions."""
    details = change_repository.describe_writers(conn, writers)
    named = [_name(writer, started, details.get(writer)) for writer, started in writers.items()]
    more = f", and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more


def _name(writer: str, started: datetime | None, details: WriterDetails | None) -> str:
    since = f" since {_shown(started)}" if started else " since an unknown time"
    if details is None:
        return f"transaction {writer}{since}"
    if details.gid is not None and details.prepared is not None:
        return f"prepared transaction {details.gid!r} of {details.user_name!r}, prepared {_shown(details.prepared)}"
    user = f" of {details.user_name!r}" if details.user_name else ""
    application = f" in {details.application!r}" if details.application else ""
    idle = ", idle in transaction" if details.idle else ""
    return f"process {details.pid}{user}{application}{since}{idle}"


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _begun_before(until: datetime, writers: dict[str, datetime | None]) -> dict[str, datetime | None]:
    """Who began after the window has nothing to add to it."""
    return {writer: started for writer, started in writers.items() if started is None or started < until}


def settle_in(
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
    """The same for the database of the contacts, which may be a read replica of `primary`.

    Writers hold their locks on the primary, so they are waited for there; then the replica has to catch up. The
    snapshot must be taken in this very session: another one may be led to another replica. Raises ExportFailed for a
    replica of another server, ReplicaLags when it does not catch up in time, WindowOpen as `settle` does.
    """
    if not replica_repository.is_replica(contacts):
        return settle(contacts, start, end, writers_seconds, require_wanted, whole=whole)
    with primary.session() as source:
        if not replica_repository.is_replica_of(contacts, source):
            raise ExportFailed("The contacts database is a read replica, but not one of CONTACTEXPORT_DATABASE_URL")
        until = settle(source, start, end, writers_seconds, require_wanted, whole=whole)
        position = replica_repository.log_position(source)
    _catch_up(contacts, position, replica_seconds, require_wanted)
    return until


def _catch_up(replica: Connection, position: str, most_seconds: float, require_wanted: Callable[[], None]) -> None:
    give_up = time.monotonic() + most_seconds
    while not replica_repository.has_replayed(replica, position):
        require_wanted()
        if time.monotonic() > give_up:
            raise ReplicaLags(ReplicaLags.status_text)
        time.sleep(POLL_SECONDS)
