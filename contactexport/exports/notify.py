"""Notifies the receiver at the notification URL that an export has finished (docs/notifications.md).

The export stays as it is, even if the notification fails. If the process dies while it sends one, the notification is
sent again under the same Idempotency-Key: the next due time was written before.
"""

from collections.abc import Sequence

from contactexport import audit, log_context
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.delivery import webhook as delivery
from contactexport.errors import DeliveryFailed, SecretUnreadable, SettingsError
from contactexport.exports import status, store
from contactexport.exports.models import Export

# After 1, 1, 1, 1, 1, 5, 15 and 60 minutes, then hourly.
RETRY_SECONDS = (60, 60, 60, 60, 60, 300, 900, 3600)
MAX_DUE = 100


def notify(context: Context, export_id: int, answer_seconds: float = delivery.ANSWER_SECONDS) -> None:
    """Sends the notification of an export if it is due, and stores the result. Raises DatabaseUnavailable."""
    with context.database.transaction() as conn:
        export = claim(conn, export_id, RETRY_SECONDS)
    if export is None:
        return
    with log_context.about(export.request_id):
        try:
            delivery.notify(
                context,
                export,
                delivery.Notification(
                    payload=status.payload(context, export),
                    idempotency_key=f"export-{export.id}-{export.status}-{export.attempt}",
                    signing_key=signing_key(context),
                ),
                answer_seconds,
            )
        except (DeliveryFailed, SecretUnreadable, SettingsError) as failure:
            with context.database.transaction() as conn:
                note_failed(conn, export, failure.text, context.settings.notification_limit)
            audit.note("notification failed", export=export.id, attempt=export.notify_attempts, error=failure.text)
        else:
            with context.database.transaction() as conn:
                note_sent(conn, export)
            audit.note("notification sent", export=export.id, attempt=export.notify_attempts)


def signing_key(context: Context) -> str:
    """The key that signs notifications, which the receivers get too. Raises SettingsError."""
    return context.secrets.derived_key("notification")


def claim(conn: Connection, export_id: int, delays: Sequence[float]) -> Export | None:
    """Starts the next attempt to notify, the fence of what is written about it. None: nothing is due.

    `delays` are the seconds until the attempt after it, by attempt. The last delay repeats.
    """
    if queries("notification").claim_notification(conn, id=export_id, delays=list(delays)) is None:
        return None
    return store.get(conn, export_id)


def note_sent(conn: Connection, export: Export) -> None:
    """The receiver has it. Does nothing if the export was retried in the meantime."""
    queries("notification").note_sent(
        conn, id=export.id, attempt=export.attempt, notify_attempts=export.notify_attempts
    )


def note_failed(conn: Connection, export: Export, reason: str, limit: float) -> None:
    """Stores the reason. The last retry is `limit` seconds after the end of the export."""
    queries("notification").note_failed(
        conn,
        id=export.id,
        attempt=export.attempt,
        notify_attempts=export.notify_attempts,
        error=reason,
        limit=limit,
    )


def due(conn: Connection) -> list[int]:
    """Ids of at most MAX_DUE exports, those first whose notification has been due longest."""
    return [row["id"] for row in queries("notification").due_notifications(conn, most=MAX_DUE)]
