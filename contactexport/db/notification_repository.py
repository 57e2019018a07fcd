"""Reads and writes of what the table `export` knows about notifications. The attempt numbers are the fence."""

from collections.abc import Sequence

from contactexport.db import export_repository
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.models import Export

MOST_DUE = 100


def claim(conn: Connection, export_id: int, delays: Sequence[float]) -> Export | None:
    """Starts the next attempt to notify; None when nothing is due.

    `delays` are the seconds until the attempt after it, by attempt; the last one stays.
    """
    if queries("notification").claim_notification(conn, id=export_id, delays=list(delays)) is None:
        return None
    return export_repository.get(conn, export_id)


def note_sent(conn: Connection, export: Export) -> None:
    """The receiver has it; does nothing when the export was tried again meanwhile."""
    queries("notification").note_sent(
        conn, id=export.id, attempt=export.attempt, notify_attempts=export.notify_attempts
    )


def note_failed(conn: Connection, export: Export, reason: str, limit: float) -> None:
    """Stores the reason; `limit` seconds after the export's end nothing more is due."""
    queries("notification").note_failed(
        conn,
        id=export.id,
        attempt=export.attempt,
        notify_attempts=export.notify_attempts,
        error=reason,
        limit=limit,
    )


def due(conn: Connection) -> list[int]:
    """Ids of the exports whose notification has been due longest, MOST_DUE at most."""
    return [row["id"] for row in queries("notification").due_notifications(conn, most=MOST_DUE)]
